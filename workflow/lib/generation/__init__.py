"""Responses of a model to the test entries (section 7.7).

In: a model and prompts. Out: responses.json. Open `generate.py` first; `responses.py` takes it from
files to files.
"""

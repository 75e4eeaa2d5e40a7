"""Scores from 0 to 100 by another model (section 7.8).

In: responses.json and a judge of config.yaml. Out: scores.csv and usage.json.
Open `judge.py` first; `backend.py` is what each file of `backends/`, one kind of judge, implements.
"""

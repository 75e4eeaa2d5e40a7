"""Kinds of judges, one file each: its settings and how it is asked.

In: a question. Out: an answer. Open `base.py` first, then `ollama.py`.
"""

"""Kinds of judges, one file each, named by `backend` in config.yaml.

In: a question or an entry. Out: a reply or a score. Each file holds settings and implementation.
Open `overlap.py` first, then `ollama.py`.
"""

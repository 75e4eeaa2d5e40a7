"""What jobs ask a cluster for, and what became of jobs of an earlier run.

In: a model's shape, a recipe and the data. Out: memory and minutes. Open `estimate.py` first.
"""

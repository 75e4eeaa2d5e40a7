"""What jobs ask a cluster for, and waiting for jobs of an earlier run.

In: a model's shape, a recipe and the data. Out: memory and minutes. Open `estimate.py` first.
"""

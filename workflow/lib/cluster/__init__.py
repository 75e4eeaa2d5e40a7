"""The resources jobs request of a cluster, and waiting for the jobs of an earlier run.

In: a model's shape, a recipe and the data. Out: memory and minutes. Open `estimate.py` first.
"""

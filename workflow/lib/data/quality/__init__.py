"""What weakens a data set: duplicates, conflicting answers, leaks between splits, empty outputs.

In: the three splits. Out: quality.json, and its findings in words. Open `measure.py` first.
"""

"""Doubtful entries of a data set: duplicates, conflicts, leaks and cut texts.

In: the three splits. Out: quality.json. Open `measure.py` first.
"""

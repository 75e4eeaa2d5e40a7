"""Instruction entries, from a file or an address to three splits (sections 7.2 and 7.3).

In: JSON, JSON lines, CSV or Parquet. Out: train.json, val.json and test.json of entries with
instruction, input and output. Open `entries.py` first, then `split.py`.
"""

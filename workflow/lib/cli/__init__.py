"""`python -m workflow`: programs for a terminal.

In: files of finished runs. Out: text on the console. Open `program.py` first.
"""

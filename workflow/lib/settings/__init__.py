"""config.yaml as frozen objects.

In: the files that Snakemake merged. Out: `Settings`, complete and checked, or every mistake.
Open `root.py` first, which lists the sections; `load.py` reads and explains.
"""

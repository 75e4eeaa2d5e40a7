"""One job computed by several processes, on one machine or several.

In: a function and the number of processes. Out: the same result as one process gives.
Open `engine.py` first; `launch.py` starts the processes.
"""

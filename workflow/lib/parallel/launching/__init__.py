"""Starting the processes of a job, watching them, and raising the error that ended it.

In: a job and how many processes compute it. Out: nothing; the job has written its files, or one
error is raised. Nothing here changes a result. Open `launch.py` first.
"""

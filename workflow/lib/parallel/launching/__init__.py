"""Processes of a job: started, watched, and their one error found.

In: a job and how many processes compute it. Out: nothing; the job has written its files, or one
error is raised. Nothing here changes a result. Open `launch.py` first.
"""

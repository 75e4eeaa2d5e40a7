"""Downloads with resume, retries, mirrors and checks; local paths are copied.

In: addresses and expected digests. Out: the file in place, or one line that says why not.
Open `fetch.py` first.
"""

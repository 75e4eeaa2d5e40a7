"""Files from an address, its mirrors or a local path, kept once and resumed.

In: a URL and expected digests. Out: the file in place, or one line that says why not.
Open `fetch.py` first.
"""

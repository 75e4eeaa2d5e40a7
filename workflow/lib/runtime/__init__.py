"""Errors, files, logs, names and provenance: nothing in here can change a result.

In and out: text, files and processes. Imports nothing else of lib. Open `errors.py` first.
"""

"""The commands of `python -m workflow`: chat, show, quality and schema.

In: files of finished runs. Out: text on the console. `workflow/__main__.py` picks the command; open
the module of its name.
"""

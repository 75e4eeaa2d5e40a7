"""The commands of `python -m workflow`: chat, show, quality and schema.

In: files of finished runs. Out: text on the console. Open `chat.py` first: `workflow/__main__.py`
picks the module that has the command's name.
"""

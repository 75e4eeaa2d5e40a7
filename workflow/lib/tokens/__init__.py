"""Prompts as token ids, and batches of them (section 7.3).

In: a split, a prompt style, a tokenizer. Out: padded batches of inputs and targets.
Open `prompt_style.py` first, then `collate.py`.
"""

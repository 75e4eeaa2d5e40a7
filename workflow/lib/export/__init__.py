"""A finished variant as a model that other programs read.

In: model.pth and training.json. Out: Hugging Face's layout, or the chapter's .pth.
Open `huggingface.py` first.
"""

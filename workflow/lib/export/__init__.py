"""A finished variant as a model for other programs.

In: model.pth and training.json. Out: Hugging Face's layout, or the chapter's .pth.
Open `huggingface.py` first.
"""

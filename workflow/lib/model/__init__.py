"""GPT-2: the model, its weights in and out of files, and LoRA (section 7.5, exercise 7.4).

In: OpenAI's TensorFlow files or a state dict. Out: a `GPTModel`. Open `gpt.py` first.
"""

"""Finetuning (section 7.6).

In: token ids, base weights and a recipe. Out: model.pth, losses.csv, samples.json, training.json.
Open `train.py` first, listing 7.8; `finetune.py` is all that stands around it, files to files.
"""

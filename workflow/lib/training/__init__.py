"""Finetuning (section 7.6).

In: token ids, base weights and a recipe. Out: model.pth, losses.csv, samples.json, training.json.
Open `train.py` first, listing 7.8; `finetune.py` calls it, from files to files.
"""

"""The folder of a project with one finished variant of random weights."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.support.models import random_model
from tests.support.paths import NANO
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.weights import save_model
from workflow.lib.tokens.dataset import tokenize_split
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

SHAPE = GPTConfig(vocab_size=3000, context_length=64, emb_dim=24, n_heads=3, n_layers=2)
ENTRIES = [
    {"instruction": "Name an animal.", "input": "", "output": "a cat"},
    {"instruction": "Spell it. 안녕", "input": "Ocassion", "output": "Occasion 🚀"},
]


def make_project(folder: Path, style: str = "alpaca") -> Path:
    """Write the files of model `tiny` with recipe `quick` and return the variant's folder."""
    tokenizer = folder / "resources/tokenizers/words"
    tokenizer.mkdir(parents=True)
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(NANO / name, tokenizer)
    base = random_model(5, SHAPE).state_dict()
    del base["out_head.weight"]
    shape = {k: v for k, v in asdict(SHAPE).items() if k not in ("drop_rate", "qkv_bias")}
    (folder / "resources/gpt2/tiny").mkdir(parents=True)
    save_file(
        base,
        folder / "resources/gpt2/tiny/model.safetensors",
        metadata={"config": json.dumps(shape)},
    )
    tokens = folder / f"results/tokens/words/few/{style}"
    tokens.mkdir(parents=True)
    (folder / "entries.json").write_text(json.dumps(ENTRIES))
    tokenize_split(
        folder / "entries.json", load_tokenizer(tokenizer), load_style(style), tokens / "train.npz"
    )
    variant = folder / "results/tiny/quick"
    variant.mkdir(parents=True)
    save_model(random_model(6, SHAPE), variant / "model.pth")
    record = {
        "model": asdict(SHAPE),
        "parameters": 12345,
        "tokenizer": "words",
        "style": asdict(load_style(style)),
        "training": {"epochs": 2, "learning_rate": 5e-5, "mask_prompt": True, "max_length": 1024},
        "precision": "fp32",
        "device": "cpu, 1 threads",
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "initial_losses": {"train": 3.8259, "val": 3.7619},
        "steps": 230,
    }
    (variant / "training.json").write_text(json.dumps(record))
    (variant / "losses.csv").write_text(
        "step,epoch,tokens_seen,train_loss,val_loss\n0,1,1,2.6,2.6\n225,2,9,0.3004,0.6571\n"
    )
    return variant

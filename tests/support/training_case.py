"""A finetuning on random weights and random tokens, a token a byte."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tiktoken
import torch
from safetensors.torch import save_file

from tests.support.models import random_model
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.dataset import TokenizedSplit
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.arguments import Compute, FinetuneFiles, FinetuneRecipe, Inputs, Outputs
from workflow.lib.training.finetune import finetune
from workflow.lib.training.optimizer import clip_gradients, learning_rate, set_learning_rate

CONFIG = GPTConfig(vocab_size=257, context_length=64, emb_dim=32, n_heads=4, n_layers=2)
BYTES = tiktoken.Encoding(
    "bytes",
    pat_str=r"[\s\S]",
    mergeable_ranks={bytes([n]): n for n in range(256)},
    special_tokens={"<|endoftext|>": 256},
    explicit_n_vocab=257,
)
TRAINING = Training(learning_rate=1e-3, max_length=50)
EVALUATION = Evaluation()
CPU = torch.device("cpu")
ON_CPU = Compute(CPU)


def random_split(count: int, seed: int) -> TokenizedSplit:
    """Return sequences of 10 to 60 tokens, the longer ones past max_length."""
    random = np.random.default_rng(seed)
    sequences = [
        random.integers(0, 256, random.integers(10, 60)).astype(np.int32) for _ in range(count)
    ]
    return TokenizedSplit(sequences, random.integers(0, 10, count))


def write_split(path: Path, split: TokenizedSplit) -> None:
    """Write a split as tokenize_split does."""
    offsets = np.cumsum([0, *map(len, split.sequences)])
    np.savez(
        path,
        token_ids=np.concatenate(split.sequences),
        offsets=offsets,
        response_starts=split.response_starts,
    )


def write_weights(path: Path, config: GPTConfig) -> None:
    """Write random weights as convert_checkpoint does."""
    state = random_model(1, config).state_dict()
    del state["out_head.weight"]
    shape = {k: v for k, v in asdict(config).items() if k not in ("drop_rate", "qkv_bias")}
    save_file(state, path, {"config": json.dumps(shape)})


def make_files(folder: Path) -> FinetuneFiles:
    """Write random weights and tokens to finetune with; return inputs and outputs."""
    write_weights(folder / "model.safetensors", CONFIG)
    write_split(folder / "train.npz", random_split(43, 2))
    write_split(folder / "val.npz", random_split(11, 3))
    entry = {"instruction": "Say hi.", "input": "", "output": "hi"}
    (folder / "val.json").write_text(json.dumps([entry]))
    inputs = Inputs(*(folder / n for n in ("model.safetensors", "train.npz", "val.npz")),
                    folder / "val.json")  # fmt: skip
    names = ("model.pth", "losses.csv", "samples.json", "training.json")
    return FinetuneFiles(inputs, Outputs(*(folder / "out" / name for name in names)))


def recipe_of(training=TRAINING, evaluation=EVALUATION, style="phi3") -> FinetuneRecipe:
    """Return what is learned: from random bytes, in a prompt style."""
    return FinetuneRecipe(BYTES, load_style(style), training, evaluation)


def update(model, optimizer, training, step, total_steps):
    """Change the weights by their gradients as the training loop does, and clear these."""
    clip_gradients(model, training.clip_norm)
    set_learning_rate(optimizer, learning_rate(training, step, total_steps))
    optimizer.step()
    optimizer.zero_grad()


def run(files, training=TRAINING, evaluation=EVALUATION, style="phi3", compute=ON_CPU):
    """Finetune; return the rows of losses.csv and the record."""
    outputs = files[1]
    finetune(files, recipe_of(training, evaluation, style), compute)
    with outputs.losses.open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return rows, json.loads(outputs.training.read_text())

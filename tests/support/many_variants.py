"""The files of a finished sweep, for whatever grows with the number of variants."""

import json
import random
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT, SMALL_WORLD
from tests.support.report_case import write_quality
from workflow.lib.generation.record import write_generation
from workflow.lib.judge.judge import Names, judge_responses
from workflow.lib.report.losses import COLUMNS
from workflow.lib.report.summary import summarize
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.root import compared

MODEL, JUDGE = "nano-1M", "overlap"
_STEPS, _EVERY = 230, 5  # of a finetuning of the default run


def write_sweep(folder: Path, variants: int, entries: int = 30, words: int = 0) -> dict[str, Any]:
    """Write a model before finetuning and a sweep of its learning rates, judged by overlap.

    The higher the rate, the more responses equal the reference. The others are outputs of other
    entries.

    Args:
        variants: their number, at least two.
        words: if given, each response is extended to at least this number of words.

    Returns:
        all arguments of write_report but the output.
    """
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    rates = [round(n * 1e-6, 6) for n in range(1, variants)]
    config["recipes"]["rates"] = {
        "extends": "small-world", "sweep": {"training.learning_rate": rates},
    }  # fmt: skip
    config["compare"] = {
        "models": [MODEL], "recipes": ["small-world-untuned", "rates"], "judges": [JUDGE],
        "max_runs": variants,
    }  # fmt: skip
    settings = load_settings(config)
    recipes = settings.recipes_compared()
    world = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))
    folders = []
    for rank, (name, of) in enumerate(recipes.items()):
        draw = random.Random(rank)
        variant = folder / MODEL / name
        variant.mkdir(parents=True)
        folders.append(variant)
        _write_training(variant, of["settings"]["training"], world[-1], draw)
        answers = [
            {**entry, "model_response": _response(entry, rank / variants, world, words, draw)}
            for entry in (world[number % len(world)] for number in range(entries))
        ]
        write_json(variant / "responses.json", answers, recorded=True)
        cut_off = [] if rank else [*range(0, entries, 2)]
        write_generation(variant / "responses.json", 256, cut_off)
        (variant / JUDGE).mkdir()
        judge_responses(
            variant / "responses.json",
            settings.judges[JUDGE],
            Names(model=MODEL, recipe=name, judge=JUDGE),
            variant / JUDGE / "scores.csv",
            variant / JUDGE / "answers.jsonl",
            variant / JUDGE / "usage.json",
        )
    qualities = {"small-world": write_quality(folder / "data/small-world/quality.json", entries)}
    tables = [variant / JUDGE / "scores.csv" for variant in folders]
    summarize(tables, recipes, qualities, folder / "summary.csv")
    return {
        "folders": folders,
        "recipes": recipes,
        "judges": {JUDGE: settings.judges[JUDGE].label},
        "settings": compared(settings),
        "qualities": qualities,
        "summary": folder / "summary.csv",
    }


def _response(
    entry: dict[str, str], share: float, world: list[dict[str, str]], words: int,
    draw: random.Random,
) -> str:  # fmt: skip
    """Return the reference of an entry for this share of all draws, or else another output."""
    said = entry["output"] if draw.random() < share else draw.choice(world)["output"]
    while len(said.split()) < words:
        said += " " + draw.choice(world)["output"]
    return said


def _write_training(
    variant: Path, training: dict[str, Any], entry: dict[str, str], draw: random.Random
) -> None:
    """Write losses.csv, samples.json and training.json."""
    epochs = training["epochs"]
    steps = [*range(0, _STEPS, _EVERY)] if epochs else []
    losses = (
        (step, 1 + step // 115, 480 * (step + 1),
         7 / (1 + step / 20) + draw.random() / 5, 7 / (1 + step / 25) + draw.random() / 5)
        for step in steps
    )  # fmt: skip
    rows = (dict(zip(COLUMNS, row, strict=True)) for row in losses)
    write_csv(variant / "losses.csv", COLUMNS, rows, recorded=True)
    write_json(
        variant / "samples.json",
        [{"epoch": n, **entry, "model_response": entry["output"]} for n in range(epochs + 1)],
        recorded=True,
    )
    record = {
        "model": {"vocab_size": 3000, "context_length": 256, "emb_dim": 128, "n_heads": 4,
                  "n_layers": 4, "drop_rate": 0.0, "qkv_bias": True},
        "parameters": 1594112, "trainable_parameters": 1594112, "tokenizer": "small-world",
        "training": training, "evaluation": {"every": _EVERY, "batches": 5},
        "device": "cpu, 1 threads", "versions": {"python": "3.11.7", "torch": "2.13.0+cpu"},
        "inputs": dict.fromkeys(("weights", "train", "val", "encoder", "vocab"), "02" * 32),
        "too_long": {"train": [], "val": []}, "initial_losses": {"train": 7.0, "val": 7.0},
        "steps": _STEPS if epochs else 0, "tokens_seen": 110_000 if epochs else 0,
        "seconds": 20.0 if epochs else 0.0, "tokens_per_second": 5_500 if epochs else None,
    }  # fmt: skip
    write_json(variant / "training.json", record, recorded=True)

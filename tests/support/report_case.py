"""The files of a small finished comparison, as the pipeline writes them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workflow.lib.generation.record import write_generation
from workflow.lib.judge.scores import COLUMNS
from workflow.lib.report.summary import summarize

HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</td></table></textarea>{{ 7 * 7 }}{% raw %}"
)
KOREAN = "식사는 요리사에 의해 매일 요리됩니다."
KINDS = ("opposites", "spelling", "plurals")
RECIPES = ("plain-untuned", "plain")
JUDGES = {
    "overlap": "reference-overlap score, not an LLM's judgment",
    "strict": "the judgment of llama3, a language model",
}


def write_run(
    folder: Path, models: tuple[str, ...] = ("tiny", "small"), entries: int = 30
) -> dict[str, Any]:
    """Write the first model before and after finetuning and the others after, with two judges.

    Returns:
        all arguments of write_report but the output.
    """
    folders, tables = [], []
    for rank, model in enumerate(models):
        for recipe in RECIPES[min(rank, 1) :]:
            variant = folder / model / recipe
            folders.append(variant)
            answers = [_answer(number, recipe, rank) for number in range(entries)]
            _write_variant(variant, answers)
            for judge in ("overlap", "strict"):
                tables.append(_write_scores(variant, judge, answers, rank))
    quality = write_quality(folder / "data" / "words" / "quality.json", entries, [[2]])
    settings = _settings(models)
    recipes = _recipes(settings)
    summarize(tables, recipes, {"words": quality}, folder / "summary.csv")
    return {
        "folders": folders,
        "recipes": recipes,
        "judges": JUDGES,
        "settings": settings,
        "qualities": {"words": quality},
        "summary": folder / "summary.csv",
    }


def write_quality(
    path: Path,
    entries: int,
    seen: Sequence[Sequence[int]] = (),
    repeated: Sequence[Sequence[int]] = (),
) -> Path:
    """Write a quality.json.

    Args:
        entries: of the test split.
        seen: groups of test entries that also stand in training.
        repeated: groups of test entries with the same question: the first and last of a group
            are equal, the others have another answer.
    """
    numbers = [[500 + n for n in group] for group in repeated]
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_json(
        path,
        {
            "entries": {"train": 100, "val": 10, "test": entries},
            "duplicates": [[group[0], group[-1]] for group in numbers],
            "near_duplicates": [[41, 40, 97.3]],
            "conflicting_answers": [[3, 40], *(group for group in numbers if len(group) > 2)],
            "test_also_in_train": [[7, *(100 + n for n in group)] for group in seen],
            "test_also_in_val": [],
            "val_also_in_train": [],
            "test_near_train": [],
            "empty_outputs": [[9], [11]],
            "end_of_text": [],
            "counts": {
                "duplicates": len(numbers),
                "near_duplicates": 1,
                "conflicting_answers": 1 + sum(len(group) > 2 for group in numbers),
                "test_also_in_train": sum(map(len, seen)),
                "test_also_in_val": 0,
                "val_also_in_train": 0,
                "test_near_train": 0,
                "empty_outputs": 2,
                "end_of_text": 0,
            },
            "left_out": {"broken": [140, 141]},
            "lengths": {
                text: {
                    "words": {"starts": [0, 1, 2], "counts": [1, 0, 9], "median": 3, "longest": 3}
                }
                for text in ("instruction", "input", "output")
            },
            "where": {
                **{str(n): {"split": "train", "index": n} for n in (3, 7, 9, 11, 40, 41)},
                **{str(100 + n): {"split": "test", "index": n} for group in seen for n in group},
                **{
                    str(500 + n): {"split": "test", "index": n} for group in repeated for n in group
                },
            },
        },
    )
    return path


def write_scores(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a scores.csv; columns that a row leaves out have default values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    usual = {
        "model": "tiny",
        "recipe": "plain",
        "judge": path.parent.name,
        "repeat": 0,
        "status": "scored",
        "exact_match": 0,
        "response_tokens": 4,
        "reply": "",
        "prompt_sha256": "",
        "response_sha256": "0" * 64,
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**usual, **row} for row in rows)
    return path


def write_usage(path: Path, **changes: Any) -> Path:
    """Write a usage.json like that of the overlap judge, with changes."""
    usage = {"backend": "overlap", "digests": [], "servers": [], "answers": 0, "question_tokens": 0}
    usage |= {"answer_tokens": 0, "seconds": 0.0, "cost": None}
    _write_json(path, usage | changes)
    return path


def _answer(number: int, recipe: str, rank: int) -> dict[str, str]:
    """Return a test entry with a response: before finetuning an echo, after it by rank."""
    entry = {
        "instruction": f"Question number {number}?",
        "input": f"word{number}" if number % 2 else "",
        "output": f"answer {number}",
        "kind": KINDS[number % len(KINDS)],
    }
    if recipe == "plain-untuned":
        response = "" if number == 4 else f"Question number {number}? Question"
    else:
        response = entry["output"] if number % 3 <= rank else f"other {number}"
    if number == 1 and recipe == "plain":
        response = HOSTILE
    if number == 2:
        entry["output"] = response = KOREAN
    return {**entry, "model_response": response}


def _write_variant(variant: Path, answers: list[dict[str, str]]) -> None:
    epochs = 0 if variant.name == "plain-untuned" else 2
    variant.mkdir(parents=True)
    _write_json(variant / "responses.json", answers)
    write_generation(variant / "responses.json", 64, [] if epochs else [0, 2])
    rows = [(5 * n, 1 + n // 4, 100 * (n + 1), 3 / (n + 1), 4 / (n + 1)) for n in range(8)]
    with (variant / "losses.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("step", "epoch", "tokens_seen", "train_loss", "val_loss"))
        writer.writerows(rows if epochs else [])
    sample = {"instruction": "Shout.", "input": "hello", "output": "HELLO"}
    said = ["hello hello", "HELLO?", "HELLO"]
    _write_json(
        variant / "samples.json",
        [{"epoch": n, **sample, "model_response": said[n]} for n in range(epochs + 1)],
    )
    _write_json(
        variant / "training.json",
        {
            "parameters": 1234567,
            "trainable_parameters": 1234567,
            "model": {
                "vocab_size": 300,
                "context_length": 64,
                "emb_dim": 16,
                "n_heads": 2,
                "n_layers": 1,
            },
            "evaluation": {"every": 5, "batches": 5},
            "training": {
                "epochs": epochs,
                "max_length": 1024,
                "too_long": "truncate",
                "seed": 123,
            },
            "too_long": {"train": [5, 8] if epochs else [], "val": []},
            "initial_losses": {"train": 3.826, "val": 3.762},
            "steps": 40 if epochs else 0,
            "tokens_seen": 800 if epochs else 0,
            "seconds": 75.2 if epochs else 0.0,
            "tokens_per_second": 11 if epochs else None,
            "device": "cpu, 2 threads",
            "versions": {"python": "3.11.2", "torch": "2.13.0"},
            "inputs": {"weights": "ab" * 32},
        },
    )


def _write_scores(variant: Path, judge: str, answers: list[dict[str, str]], rank: int) -> Path:
    """Write the scores: overlap once and without a reply, strict twice, with reasons and a gap."""
    rows = []
    for number, answer in enumerate(answers):
        exact = answer["model_response"] == answer["output"]
        for repeat in range(2 if judge == "strict" else 1):
            score, status, reply = 100 if exact else min(10 * rank, 90), "scored", ""
            if judge == "strict":
                score = round(0.8 * score) + 12 - 4 * repeat - number % 5
                reply = f"It is <i>near</i> the reference. Score: {score}"
            if judge == "strict" and number == 5:
                score, status, reply = "", "unparsed", "I would rather not say."
            if not answer["model_response"]:
                score, status, reply = 0, "empty", ""
            rows.append(
                {
                    "model": variant.parent.name,
                    "recipe": variant.name,
                    "entry": number,
                    "repeat": repeat,
                    "score": score,
                    "status": status,
                    "exact_match": int(exact),
                    "response_tokens": len(answer["model_response"].split()),
                    "reply": reply,
                }
            )
    asked = {"backend": "ollama", "digests": ["cd" * 32], "answers": 58, "question_tokens": 5000}
    asked |= {"answer_tokens": 700, "seconds": 65.4, "cost": None}
    table = write_scores(variant / judge / "scores.csv", rows)
    write_usage(table.parent / "usage.json", **(asked if judge == "strict" else {}))
    return table


def _recipes(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the report is told of each variant of a recipe."""
    return {
        name: {
            "runs": [name],
            "dataset": "words",
            "published": recipe["published"],
            "settings": {"dataset": "words", "training": recipe["training"] | {"seed": 123}},
        }
        for name, recipe in settings["recipes"].items()
    }


def _settings(models: tuple[str, ...]) -> dict[str, Any]:
    """Return the part of config.yaml that such a comparison would have, ready to run again."""
    published = {
        "model": models[-1],
        "judge": "strict",
        "source": "A printed book",
        "initial_losses": [3.8, 3.9],
        "losses": {0: [2.6, 2.7], 7: [9.9, 9.9]},
        "score": 50.32,
        "score_range": [49.0, 52.0],
    }
    url = "https://reader:secret@example.org/files"
    return {
        "compare": {"models": [*models], "recipes": [*RECIPES], "judges": ["overlap", "strict"]},
        "datasets": {"words": {"url": f"{url}/words.json"}},
        "tokenizers": {"words": {"url": "files"}},
        "models": {model: {"url": url, "tokenizer": "words"} for model in models},
        "recipes": {
            "plain-untuned": {"dataset": "words", "training": {"epochs": 0}, "published": None},
            "plain": {"dataset": "words", "training": {"epochs": 2}, "published": published},
        },
        "judges": {
            "overlap": {"backend": "overlap"},
            "strict": {"backend": "ollama", "model": "llama3", "repeats": 2},
        },
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

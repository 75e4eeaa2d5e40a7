"""What token files and training records add to quality.json: lengths in tokens, entries cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cut:
    """Entries of a variant that were longer than what it kept of them.

    Args:
        variant: model and recipe.
        most: tokens of an entry that are kept.
        done: what became of longer ones: truncate or drop.
        numbers: their places, from 0, in the training and the validation split.
    """

    variant: str
    most: int
    done: str
    numbers: Mapping[str, list[int]]


def token_lengths(files: Iterable[Path]) -> dict[tuple[str, str], list[int]]:
    """Tokens of every entry, prompt and answer, by tokenizer and prompt style.

    Args:
        files: results/tokens/{tokenizer}/{dataset}/{prompt}/{split}.npz of one data set.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for path in files:
        with np.load(path) as stored:
            lengths = np.diff(stored["offsets"]).tolist()
        found.setdefault((path.parts[-4], path.parts[-2]), []).extend(lengths)
    return found


def entries_cut(variant: str, training: Mapping[str, Any]) -> Cut | None:
    """What a training record says of entries too long; None if there were none.

    Args:
        variant: model and recipe.
        training: content of training.json.
    """
    numbers = {split: found for split, found in training.get("too_long", {}).items() if found}
    if not numbers:
        return None
    most = min(training["training"]["max_length"], training["model"]["context_length"])
    return Cut(variant, most, training["training"]["too_long"], numbers)

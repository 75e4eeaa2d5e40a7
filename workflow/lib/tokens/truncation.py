"""Lengths in tokens and truncated entries: they depend on the variant, unlike quality.json."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.lib.tokens.dataset import load_lengths


@dataclass(frozen=True)
class Truncation:
    """The entries that were too long for a variant.

    Args:
        variant: model and recipe.
        max_length: the most tokens of an entry that it keeps.
        too_long: what it did with longer ones: truncate or drop.
        numbers: their indices, from 0, in the training and the validation split.
    """

    variant: str
    max_length: int
    too_long: str
    numbers: Mapping[str, list[int]]


def token_lengths(files: Iterable[Path]) -> dict[tuple[str, str], list[int]]:
    """Return the number of tokens of every entry, by tokenizer and prompt style.

    Args:
        files: results/tokens/{tokenizer}/{dataset}/{prompt}/{split}.npz of one data set.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for path in files:
        lengths = load_lengths(path).tolist()
        found.setdefault((path.parts[-4], path.parts[-2]), []).extend(lengths)
    return found


def truncation_of(variant: str, training: Mapping[str, Any]) -> Truncation | None:
    """Return which entries were too long, as training.json records; None if there were none.

    Args:
        variant: model and recipe.
        training: content of training.json.
    """
    numbers = {split: found for split, found in training.get("too_long", {}).items() if found}
    if not numbers:
        return None
    max_length = min(training["training"]["max_length"], training["model"]["context_length"])
    return Truncation(variant, max_length, training["training"]["too_long"], numbers)

"""Reading summary.csv. The Snakefile imports this module: nothing slow in here."""

import math
from collections.abc import Sequence
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.tables import read_csv

NAMES = ("model", "recipe", "judge", "run_of", "seeds", "backend", "differs_in")
COUNTS = (
    "entries", "scored", "unparsed", "failed", "empty", "asked_again", "seen_in_training",
    "seen_groups", "repeated_in_test", "repeated_groups", "response_tokens",
)  # fmt: skip
NUMBERS = (  # blank where unknown
    "mean", "low", "high", "seed_spread", "mean_without_seen", "median", "exact_rate", "share_50",
    "judge_spread", "cut_off", "training_seconds", "judge_tokens", "judge_seconds", "cost",
)  # fmt: skip


def read_summary(
    path: Path, columns: Sequence[str] = (*NAMES, *COUNTS, *NUMBERS)
) -> list[dict[str, str]]:
    """Read the rows of summary.csv as text.

    Args:
        columns: those that are needed.

    Raises:
        UserError: a column is missing, or a value is not a number.
    """
    rows = read_csv(path, columns)
    for number, row in enumerate(rows):
        for column in (column for column in columns if column not in NAMES):
            value = row[column]
            if not (_is_number(value) if column in NUMBERS else value.isdecimal()):
                raise UserError(
                    f"{path}: row {number} has {value!r} as {column}; delete it and run again"
                )
    return rows


def _is_number(value: str) -> bool:
    """Return whether a text is a finite number, or blank."""
    try:
        return not value or math.isfinite(float(value))
    except ValueError:
        return False

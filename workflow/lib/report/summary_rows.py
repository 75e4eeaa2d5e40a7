"""The columns of summary.csv, and its rows as text.

The Snakefile imports this module: nothing slow in here.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import AGAIN
from workflow.lib.runtime.names import shown
from workflow.lib.runtime.tables import read_csv

NAMES = ("model", "recipe", "judge", "run_of", "seeds", "backend", "differs_in")
COUNTS = (
    "entries", "scored", "unparsed", "failed", "empty", "unrated", "asked_again",
    "seen_in_training", "seen_groups", "repeated_in_test", "repeated_groups", "response_tokens",
)  # fmt: skip
NUMBERS = (  # blank where unknown
    "mean", "low", "high", "seed_spread", "mean_without_seen", "median", "exact_rate", "share_50",
    "judge_spread", "cut_off", "training_seconds", "judge_tokens", "judge_seconds", "cost",
)  # fmt: skip
# Of pairwise judges; not there without one.
WIN_COUNTS = ("wins", "ties", "losses", "disagreements")
WIN_NUMBERS = (
    "win_rate", "win_low", "win_high", "lc_win_rate", "lc_win_low", "lc_win_high", "first_rate",
    "first_low", "first_high",
)  # fmt: skip
WIN_COLUMNS = ("baseline", *WIN_NUMBERS, *WIN_COUNTS)
_DIGITS = 16  # more than a whole number has
_BLANK = ("cut_off", "judge_tokens")  # whole numbers that may be unknown
_WHOLE = {*COUNTS, *WIN_COUNTS, *_BLANK}
_CHECKED = {*_WHOLE, *NUMBERS, *WIN_NUMBERS}


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
    if rows and "baseline" in rows[0]:
        rows = read_csv(path, (*columns, *COUNTS, *WIN_COLUMNS))
    for number, row in enumerate(rows):
        blank = {*_BLANK, *(() if row.get("baseline") else WIN_COUNTS)}
        for column, value in row.items():
            whole = column in _WHOLE and value.isdecimal() and len(value) < _DIGITS
            if column in _CHECKED and not (
                whole
                or (column not in _WHOLE and _is_number(value))
                or (not value and column in blank)
            ):
                raise UserError(f"{path}: row {number} has {shown(value)} as {column}; {AGAIN}")
    return rows


def effort(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return tokens, seconds and cost, blank for a judge without a server or without prices."""
    asked = any(usage["answers"] for usage in usages)
    tokens = sum(usage["question_tokens"] + usage["answer_tokens"] for usage in usages)
    costs = [usage["cost"] for usage in usages if usage["cost"] is not None]
    return {
        "judge_tokens": tokens if asked else "",
        "judge_seconds": as_text(sum(u["seconds"] for u in usages) if asked else None, 1),
        "cost": as_text(sum(costs) if costs else None, 6),
    }


def as_text(value: float | None, digits: int) -> str:
    """Return a number with this many digits, blank where it is unknown."""
    return "" if value is None else f"{value:.{digits}f}"


def _is_number(value: str) -> bool:
    """Return whether a text is a finite number, or blank."""
    try:
        return not value or math.isfinite(float(value))
    except ValueError:
        return False

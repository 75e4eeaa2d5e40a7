"""Cells of CSV files that a spreadsheet would run as formulas."""

import re
from typing import Any

# The beginning of a formula, also after apostrophes, so that every text comes back as it was.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def no_formula(cell: Any) -> Any:
    """Return a cell with an apostrophe in front if a spreadsheet would take it for a formula."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def as_written(cell: str) -> str:
    """Return the text that `no_formula` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell

"""The rows of a file, as the readers of all formats return them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow.lib.runtime.errors import UserError


@dataclass(frozen=True)
class Records:
    """The rows of a file, not yet checked.

    Args:
        rows: in the file's order; dicts, or any other JSON value.
        lines: the line that each row starts in, from 1; None if the format has no lines.
        faults: by row, what the reader found wrong, as the end of a sentence about the row.
    """

    rows: list[Any]
    lines: list[int] | None = None
    faults: dict[int, str] = field(default_factory=dict)


def check_unique(path: Path, where: str, names: list[str]) -> None:
    """Raise if a column's name is repeated, because the values of the first would be lost."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path}: {where} names {', '.join(map(repr, twice))} more than once")

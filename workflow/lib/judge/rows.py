"""What the tables of judges have in common: rows about an entry and a repeat, each once."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.names import shown
from workflow.lib.runtime.tables import read_csv


class Row(Protocol):
    """A row of scores.csv or wins.csv."""

    @property
    def entry(self) -> int:
        """Number of the test entry, from 0."""

    @property
    def repeat(self) -> int:
        """Number of the request or the rater of this entry, from 0."""

    @property
    def status(self) -> str:
        """What came of it."""


RowT = TypeVar("RowT", bound=Row)


def parse_rows(
    table: Path, columns: Sequence[str], row_of: Callable[[Mapping[str, str]], RowT]
) -> list[RowT]:
    """Read the rows of a table, in the order of the file.

    Args:
        columns: those that are needed.
        row_of: reads a row; raises ValueError if a value is not of its kind.

    Raises:
        UserError: the table lacks columns, or a value is not of its kind.
    """
    rows = []
    for number, row in enumerate(read_csv(table, columns)):
        try:
            rows.append(row_of(row))
        except ValueError as error:
            raise UserError(
                f"{table}: row {number}: {first_line(error)}; delete it and run again"
            ) from error
    return rows


def whole(text: str) -> int:
    """Return a number from 0 that a table holds.

    Raises:
        ValueError: it is none, or is too large for a number of words or entries.
    """
    number = int(text)
    if not 0 <= number < 2**31:
        raise ValueError(f"a number is below 0 or too large: {shown(text)}")
    return number


def check_places(table: Path, rows: Sequence[Row]) -> None:
    """Check that the rows of one judge about one variant have each entry once for each repeat.

    Raises:
        UserError: one is missing or there twice, or there is none at all.
    """
    places = {(row.entry, row.repeat) for row in rows}
    entries, repeats = (max(of) + 1 for of in zip(*places, strict=True)) if places else (0, 0)
    if not rows or len(rows) != entries * repeats or len(places) != len(rows):
        raise UserError(
            f"{table}: {len(rows)} rows for {entries} entries with {repeats} repeats, should be "
            f"{entries * repeats or 'at least one'}, each once; delete it and run again"
        )


def check_entries(table: Path, rows: Iterable[Row], count: int) -> None:
    """Check that the rows of one judge are about this number of entries.

    Raises:
        UserError: they are about fewer or more.
    """
    if (found := len({row.entry for row in rows})) != count:
        raise UserError(f"{table}: has {found} of {count} entries; delete it and run again")


def by_entry(rows: Iterable[RowT]) -> dict[int, list[RowT]]:
    """Group rows by entry, with entries and repeats in order."""
    entries: dict[int, list[RowT]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.entry, row.repeat)):
        entries[row.entry].append(row)
    return dict(entries)


def first_status(repeats: Sequence[Row], order: Sequence[str]) -> str:
    """Return the status of an entry: the first in this order that one of its repeats has."""
    statuses = {row.status for row in repeats}
    return next(status for status in order if status in statuses)


def text_sha256(text: str) -> str:
    """Return the digest by which a question or a response is known."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

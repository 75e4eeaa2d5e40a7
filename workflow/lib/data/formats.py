"""Reads the files data sets come in: JSON, JSON lines, CSV and Parquet."""

import csv
import io
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import read_list
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_text


@dataclass(frozen=True)
class Records:
    """What a file holds, before anything is known of it.

    Args:
        rows: in the file's order; objects as dicts, though JSON may hold anything.
        lines: the line each starts in, from 1; None where the format has no lines.
        faults: why a row is no entry, as the end of a sentence about it, where reading showed it.
    """

    rows: list[Any]
    lines: list[int] | None = None
    faults: dict[int, str] = field(default_factory=dict)


def read_records(path: Path) -> Records:
    """Read a file by its suffix: .json, .jsonl, .csv or .parquet.

    Raises:
        UserError: it is not what its suffix says, or holds no entries; says where.
    """
    records = _READERS[path.suffix](path)
    if not records.rows:
        raise UserError(f"{path}: holds no entries")
    return records


def _read_json(path: Path) -> Records:
    return Records(read_list(path))


def _read_jsonl(path: Path) -> Records:
    rows, lines = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                where = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                raise UserError(
                    f"{path}: line {number}{where} is not JSON; each line should be one entry"
                ) from error
            lines.append(number)
    return Records(rows, lines)


def _read_csv(path: Path) -> Records:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows, lines, faults, end = [], [], {}, 0
    header: list[str] | None = None
    try:
        for cells in reader:
            start, end = end + 1, reader.line_num
            if header is None:
                header = _checked_header(path, cells)
            elif cells:
                if len(cells) != len(header):
                    faults[len(rows)] = f"has {len(cells)} cells, the header {len(header)}"
                rows.append(dict(zip(header, cells, strict=False)))
                lines.append(start)
    except csv.Error as error:
        raise UserError(
            f"{path}: not CSV (line {end + 1} on: {error}); quotes inside a quoted cell are doubled"
        ) from error
    return Records(rows, lines, faults)


def _checked_header(path: Path, names: list[str]) -> list[str]:
    if len(names) == 1 and (found := [mark for mark in ";\t|" if mark in names[0]]):
        raise UserError(f"{path}: cells are parted by {found[0]!r}; save the file with commas")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path}: line 1 names {', '.join(map(repr, twice))} more than once")
    return names


def _read_parquet(path: Path) -> Records:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {reason}") from error
    return Records([{key: _plain(value) for key, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: what has no form there, such as a date, becomes its text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


_READERS = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}

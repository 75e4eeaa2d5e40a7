"""Readers of JSON, JSON lines, CSV and Parquet files."""

import csv
import io
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow.lib.data.entries import list_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import parse_json, read_text, repeated
from workflow.lib.runtime.log import log

if TYPE_CHECKING:
    import pyarrow


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


def read_records(path: Path) -> Records:
    """Read a file of the format that its suffix says: .json, .jsonl, .csv or .parquet.

    Raises:
        UserError: the file is not of that format, or has no entries; says where.
    """
    records = _READERS[path.suffix](path)
    if not records.rows:
        raise UserError(f"{path}: holds no entries")
    odd = Counter(
        name
        for row in records.rows
        if isinstance(row, dict)
        for name, value in row.items()
        if isinstance(value, float) and not math.isfinite(value)
    )
    for name, count in odd.items():
        log.info("%s: %a is NaN or Infinity in %d entries, read as null", path, name, count)
    return replace(records, rows=[_plain(row) for row in records.rows])


class _Repeating(dict[str, Any]):
    """A JSON object with the last values of its keys, some of which stand more than once."""

    keys_twice: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) == len(pairs):
        return found
    repeating = _Repeating(found)
    repeating.keys_twice = repeated(pairs)
    return repeating


def _keys_twice(value: Any) -> list[str]:
    """Return the keys that stand more than once in an object, or in one inside the value."""
    if isinstance(value, _Repeating):
        return value.keys_twice
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((keys for each in inner if (keys := _keys_twice(each))), [])


def _json_records(rows: list[Any], lines: list[int] | None = None) -> Records:
    faults = {
        number: f"has {', '.join(map(repr, keys))} more than once"
        for number, row in enumerate(rows)
        if (keys := _keys_twice(row))
    }
    return Records(rows, lines, faults)


def _read_json(path: Path) -> Records:
    return _json_records(list_of(path, parse_json(read_text(path), path, _object)))


def _read_jsonl(path: Path) -> Records:
    rows: list[Any] = []
    lines: list[int] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line, object_pairs_hook=_object))
            except (ValueError, RecursionError) as error:
                where = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                raise UserError(
                    f"{path}: line {number}{where} is not JSON; each line should be one entry"
                ) from error
            lines.append(number)
    return _json_records(rows, lines)


def _read_csv(path: Path) -> Records:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[Any] = []
    lines: list[int] = []
    faults: dict[int, str] = {}
    header: list[str] | None = None
    end = 0
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
            f"{path}: not CSV (line {end + 1} on: {error}); a quote inside a quoted cell is doubled"
        ) from error
    return Records(rows, lines, faults)


def _checked_header(path: Path, names: list[str]) -> list[str]:
    if len(names) == 1 and (found := [mark for mark in ";\t|" if mark in names[0]]):
        raise UserError(f"{path}: cells are separated by {found[0]!r}; separate them by commas")
    _check_unique(path, "line 1", names)
    return names


def _check_unique(path: Path, where: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path}: {where} names {', '.join(map(repr, twice))} more than once")


def _read_parquet(path: Path) -> Records:
    import pyarrow
    import pyarrow.parquet

    try:
        _check_unique(path, "the schema", pyarrow.parquet.read_schema(path).names)
        rows = _with_bytes(pyarrow.parquet.read_table(path)).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {reason}") from error
    return Records(rows)


def _with_bytes(table: "pyarrow.Table") -> "pyarrow.Table":
    """Return a table with texts as bytes, since one text that is not UTF-8 would stop the rest."""
    import pyarrow

    texts = (pyarrow.string(), pyarrow.large_string())
    fields = [
        field.with_type(pyarrow.large_binary()) if field.type in texts else field
        for field in table.schema
    ]
    return table.cast(pyarrow.schema(fields))


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it; a type that JSON lacks, such as a date, becomes text.

    NaN and Infinity, which Python's reader of JSON takes, become null. Bytes are read as UTF-8:
    files written without a logical type hold text as BYTE_ARRAY. Bytes that are something else
    become null; as the value of a field they stay, and `fault_of` refuses them as a text.

    Args:
        depth: how many objects and lists the value is in; that of a field is in one.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value if depth == 1 else None
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


_READERS = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}

"""Readers of JSON, JSON lines, CSV and Parquet files."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow.lib.data.csv_records import read_csv_records
from workflow.lib.data.json_records import read_json_records
from workflow.lib.data.records import Records, check_unique
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log

if TYPE_CHECKING:
    import pyarrow


def read_records(path: Path) -> Records:
    """Read a file in the format of its suffix: .json, .jsonl, .csv or .parquet.

    JSON and JSON lines are told apart by their content.

    Raises:
        UserError: the file is not of that format, or has no entries; says where.
    """
    with path.open("rb") as file:
        begins = file.read(4)
    if begins == b"PAR1" and path.suffix != ".parquet":
        raise UserError(f"{path}: is Parquet; set `format` of the data set to parquet")
    if begins.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")):
        raise UserError(f"{path}: is compressed; unpack it, or give the address of the file inside")
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


def _read_parquet(path: Path) -> Records:
    import pyarrow
    import pyarrow.parquet

    try:
        check_unique(path, "the schema", pyarrow.parquet.read_schema(path).names)
        rows = _with_bytes(pyarrow.parquet.read_table(path)).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: not readable as Parquet: {reason}; if it is of another format, say so with "
            "`format` of the data set"
        ) from error
    return Records(rows)


def _with_bytes(table: "pyarrow.Table") -> "pyarrow.Table":
    """Return a table with its texts as bytes: one text that is not UTF-8 would stop the reading."""
    import pyarrow

    texts = (pyarrow.string(), pyarrow.large_string())
    fields = [
        field.with_type(pyarrow.large_binary()) if field.type in texts else field
        for field in table.schema
    ]
    return table.cast(pyarrow.schema(fields))


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it; a type that JSON lacks, such as a date, becomes text.

    NaN and Infinity, which Python's JSON parser accepts, become null. Bytes are read as UTF-8:
    files written without a logical type hold text as BYTE_ARRAY. Other bytes become
    null; as the value of a field they stay, and `fault_of` refuses them as a text.

    Args:
        depth: number of objects and lists around the value; 1 for the value of a field.
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
    ".json": read_json_records,
    ".jsonl": read_json_records,
    ".csv": read_csv_records,
    ".parquet": _read_parquet,
}

"""The tables of a comparison as Parquet, with a type for each column."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from workflow.lib.report.summary_rows import COUNTS, NAMES
from workflow.lib.runtime.files import read_csv, replacing

TEXT = {*NAMES, "status", "reply", "prompt_sha256", "response_sha256"}
WHOLE = {*COUNTS, "entry", "repeat", "exact_match", "judge_tokens"}


def write_parquet(table: Path, output: Path) -> None:
    """Write a CSV table as Parquet.

    Columns of text are strings, counts are 64-bit integers, all others are 64-bit floating-point
    numbers; a blank number is null.

    Args:
        table: scores.csv or summary.csv.
        output: Parquet file to write; the same bytes from the same table.
    """
    rows = read_csv(table, ())
    columns = {}
    for name in rows[0] if rows else ():
        cells = [row[name] for row in rows]
        if name in TEXT:
            columns[name] = pa.array(cells, pa.string())
        else:
            kind, to_number = (pa.int64(), _whole) if name in WHOLE else (pa.float64(), float)
            columns[name] = pa.array([to_number(c) if c else None for c in cells], kind)
    with replacing(output) as unfinished:
        parquet.write_table(pa.table(columns), unfinished)


def _whole(cell: str) -> int:
    """Return a count, or 0 or 1 for a truth value in words, as a spreadsheet writes it."""
    return int({"true": "1", "false": "0"}.get(cell.lower(), cell))

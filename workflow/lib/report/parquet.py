"""The tables of a comparison as Parquet, with a type for each column."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from workflow.lib.report.summary_rows import COUNTS, NUMBERS, WIN_COUNTS, WIN_NUMBERS
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.tables import read_csv

WHOLE = {*COUNTS, *WIN_COUNTS, "entry", "repeat", "exact_match", "judge_tokens", "cut_off"}
FLOATING = {*NUMBERS, *WIN_NUMBERS, "score", "train_loss", "val_loss"} - WHOLE


def write_parquet(table: Path, output: Path) -> None:
    """Write a CSV table as Parquet.

    Counts are 64-bit integers, measured values 64-bit floating-point numbers, both null where
    blank; all other columns, names and settings, are strings.

    Args:
        table: scores.csv or summary.csv.
        output: Parquet file to write; the same bytes from the same table.
    """
    rows = read_csv(table, ())
    columns = {}
    for name in rows[0] if rows else ():
        cells = [row[name] for row in rows]
        if name in WHOLE:
            columns[name] = pa.array([_whole(c) if c else None for c in cells], pa.int64())
        elif name in FLOATING:
            columns[name] = pa.array([float(c) if c else None for c in cells], pa.float64())
        else:
            columns[name] = pa.array(cells, pa.string())
    with replacing(output) as unfinished:
        parquet.write_table(pa.table(columns), unfinished)


def _whole(cell: str) -> int:
    """Return a count, or 0 or 1 for a truth value in words, as a spreadsheet writes it."""
    return int({"true": "1", "false": "0"}.get(cell.lower(), cell))

"""Reading the CSV files that jobs hand on to each other; `write_csv` of files.py writes them."""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import AGAIN, read_text
from workflow.lib.runtime.formulas import as_written


def read_csv(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a table as text.

    Args:
        columns: those that its header must have; it may have more.

    Raises:
        UserError: it has changed since it was written, is not UTF-8, lacks a column, or a row has
            too few or too many cells; says which.
    """
    csv.field_size_limit(sys.maxsize)  # a reply can be longer than csv's own limit
    text = read_text(path, AGAIN)
    if not text.endswith("\n"):
        raise UserError(f"{path}: ends within a row; {AGAIN}")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := sorted(set(columns) - set(reader.fieldnames or ())):
            raise UserError(f"{path}: lacks the columns {', '.join(missing)}; {AGAIN}")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise UserError(
                    f"{path}: the row that ends in line {reader.line_num} has not as many cells as "
                    "the header; delete it and run again"
                )
            rows.append({column: as_written(cell) for column, cell in row.items()})
    except csv.Error as error:
        raise UserError(
            f"{path}: not CSV (line {reader.line_num}: {error}); delete it and run again"
        ) from error
    return rows

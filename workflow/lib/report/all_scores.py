"""scores.csv of all variants, in a module of its own because it needs no statistics."""

from collections.abc import Sequence
from pathlib import Path

from workflow.lib.judge.scores import COLUMNS, read_rows
from workflow.lib.runtime.files import write_csv


def collect_scores(tables: Sequence[Path], output: Path) -> None:
    """Join scores.csv files into one, in the given order.

    Args:
        tables: scores.csv files.
        output: CSV file to write.

    Raises:
        UserError: a table has other columns than a scores.csv.
    """
    write_csv(output, COLUMNS, (row for table in tables for row in read_rows(table)))

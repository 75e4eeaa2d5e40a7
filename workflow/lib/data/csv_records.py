"""The reader of CSV files, also with semicolons, tabs or bars."""

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any

from workflow.lib.data.records import Records, check_unique
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_text
from workflow.lib.runtime.log import log


def read_csv_records(path: Path) -> Records:
    """Read a table with a header, whose cells are separated by commas, semicolons, tabs or bars.

    Raises:
        UserError: it is not such a table; says where.
    """
    csv.field_size_limit(sys.maxsize)
    text, mark, end = _separated(path, read_text(path))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    skipped = end
    rows: list[Any] = []
    lines: list[int] = []
    faults: dict[int, str] = {}
    header: list[str] = []
    try:
        for cells in reader:
            start, end = end + 1, skipped + reader.line_num
            if not header:
                header = _without_empty_end(cells, 0)
                check_unique(path, f"line {start}", header)
            elif cells:
                cells = _without_empty_end(cells, len(header))
                if len(cells) != len(header):
                    faults[len(rows)] = f"has {len(cells)} cells, the header {len(header)}"
                rows.append(dict(zip(header, cells, strict=False)))
                lines.append(start)
    except csv.Error as error:
        raise UserError(
            f"{path}: not CSV (line {end + 1} on: {error}); a quote inside a quoted cell is doubled"
        ) from error
    while len(rows) > 1 and not any(rows[-1].values()):  # as spreadsheets leave them
        log.info("%s: line %d is empty", path, lines.pop())
        faults.pop(len(rows) - 1, None)
        rows.pop()
    return Records(rows, lines, faults)


def _separated(path: Path, text: str) -> tuple[str, str, int]:
    """Return a table's text, what separates its cells, and how many lines precede it.

    The separator is that of a first line `sep=;`, as Excel writes it, or the one that finds the
    most names in the header.
    """
    first, _, rest = text.partition("\n")
    if found := re.fullmatch(r'"?sep=(.)"?\r?', first):
        return rest, found[1], 1
    if text.lstrip().startswith(("[{", '{"')):
        raise UserError(f"{path}: is JSON, not CSV; set `format` of the data set to json")

    def cells(mark: str) -> int:
        stream = io.StringIO(text.lstrip("\r\n"), newline="")
        try:
            return len(next(csv.reader(stream, delimiter=mark, strict=True), []))
        except csv.Error:
            return 0

    mark = max(",;\t|", key=cells)
    if mark != ",":
        log.info("%s: cells are separated by %r", path, mark)
    return text, mark, 0


def _without_empty_end(cells: list[str], keep: int) -> list[str]:
    """Return cells without the empty ones at the end, but at least the first `keep`."""
    end = len(cells)
    while end > keep and not cells[end - 1].strip():
        end -= 1
    return cells[:end]

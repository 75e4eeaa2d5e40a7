"""Entries of instruction data, and files of them."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """Return an entry whose texts hold its number, with other keys and texts if given."""
    return {"instruction": f"Task {number}", "input": "", "output": f"Answer {number}"} | changes


def entries_of(*numbers: int) -> list[dict[str, Any]]:
    """Return the entries of these numbers."""
    return [entry(n) for n in numbers]


DOUBTFUL = [
    *entries_of(0, 1, 1), entry(3, output="other"), entry(3), entry(5, output=" "),
    entry(6, input="a <|endoftext|> b"), *entries_of(*range(7, 17)), entry(0, output="new"),
    *entries_of(18, 19),
]  # fmt: skip


def write(path: Path, entries: list[dict[str, Any]]) -> Path:
    """Write entries in the format that the suffix names; return the path."""
    if path.suffix == ".json":
        path.write_text(json.dumps(entries), "utf-8")
    if path.suffix == ".jsonl":
        lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
        path.write_bytes("\n".join(lines).encode())
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(entries[0]))
            writer.writeheader()
            writer.writerows(entries)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(entries), path)
    return path

"""Finding the fields of a file by the names in the settings, and renaming them to ours."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from workflow.lib.data.entries import TEXTS, Text
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log

Column = Text | Literal["kind"]
COLUMNS: tuple[Column, ...] = (*TEXTS, "kind")


def find_columns(
    path: Path, rows: Sequence[Any], called: Mapping[Column, str | None], key: str
) -> dict[str, Column]:
    """Find the fields that hold the texts and the kind.

    A name that differs from the one in the settings by case, spaces or Unicode form alone is taken
    for it, with a line in the log. In an entry that has both, the exact name counts.

    Args:
        path: the file, for messages.
        rows: its rows; those that are not objects are skipped.
        called: the names in the settings.
        key: the entry of config.yaml that describes the data set.

    Returns:
        What each field holds; exact names come first.

    Raises:
        UserError: no row has a field, or several names could stand for one.
    """
    present = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    exact: dict[str, Column] = {}
    for text, name in called.items():
        if name is not None:
            exact.setdefault(name, text)  # a text may be in a field of the name `kind`
    alike: dict[str, Column] = {}
    for name, text in exact.items():
        others = [n for n in present if n not in exact and _folded(n) == _folded(name)]
        if len(others) > 1 and name not in present:
            raise UserError(
                f"{path}: {', '.join(map(ascii, others))} could all be {name!a}; set "
                f"{key}.fields.{text} to the one that holds the {text}"
            )
        for other in others:
            log.info("%s: field %s is taken for %s", path, ascii(other), ascii(name))
            alike[other] = text
        if others or name in present or not present:
            continue
        if text == name in ("input", "kind"):  # not renamed: a data set may have none
            if text == "input":
                log.info("%s: no entry has an input", path)
            continue
        there = ", ".join(map(repr, present[:12]))
        more = f" and {len(present) - 12} more" if len(present) > 12 else ""
        raise UserError(
            f"{path}: no entry has {name!r}; there are: {there}{more}; "
            f"set {key}.fields.{text} to the field that holds the {text}"
        )
    return exact | alike


def rename(row: Any, columns: Mapping[str, Column]) -> Any:
    """Return a row with its texts and its kind under our names, and with all its further fields.

    Bytes in a further field, such as a picture, become null.

    Args:
        row: any value; one that is not an object is returned unchanged.
        columns: what `find_columns` found.
    """
    if not isinstance(row, dict):
        return row
    entry: dict[str, Any] = {}
    found = {text: name for name, text in reversed(list(columns.items())) if name in row}
    for name, value in row.items():
        if name in columns and found[columns[name]] == name:
            entry[columns[name]] = value
        elif name not in COLUMNS:
            entry[name] = None if isinstance(value, bytes) else value
    return entry if entry.get("input") is not None else {**entry, "input": ""}


@cache
def _folded(name: str) -> str:
    """Return a name without case, spaces, invisible characters and differences of Unicode form."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] not in "ZC")

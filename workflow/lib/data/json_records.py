"""The reader of JSON and JSON lines."""

import json
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import list_of
from workflow.lib.data.records import Records
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import parse_json, read_text, repeated
from workflow.lib.runtime.log import log


class _Repeating(dict[str, Any]):
    """A JSON object with repeated keys, each with its last value."""

    keys_twice: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) == len(pairs):
        return found
    repeating = _Repeating(found)
    repeating.keys_twice = repeated(pairs)
    return repeating


def _keys_twice(value: Any) -> list[str]:
    """Return the keys that are repeated in an object, or in one inside the value."""
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


def read_json_records(path: Path) -> Records:
    """Read a list of entries, or an entry per line: the content says which, not the suffix.

    The list may be in an object, such as under `data`.

    Raises:
        UserError: the file holds something else; says where.
    """
    text = read_text(path)
    if path.suffix == ".json" and (begins := text.lstrip()[:1]) and begins not in "[{":
        raise UserError(
            f"{path}: not JSON (line 1, column 1: it begins with {begins!a}); if it is of another "
            "format, say so with `format` of the data set"
        )
    if _has_entry_per_line(text, path.suffix == ".jsonl"):
        return _read_lines(path, text)
    content = parse_json(text, path, _object)
    if isinstance(content, dict):
        content = _unwrapped(path, content)
    return _json_records(list_of(path, content))


def _has_entry_per_line(text: str, named_so: bool) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    begins, more = _parsed(first), bool(rest.strip())
    if begins is not None and more:
        return named_so or isinstance(begins, dict)
    if begins is not None:  # all is in one line
        return named_so and not isinstance(begins, list) and not _is_wrapper(begins)
    return named_so and not first.startswith("[") and _parsed(text) is None


def _is_wrapper(value: Any) -> bool:
    """Return whether an object holds a list of entries, and is not an entry itself."""
    inner = value.values() if isinstance(value, dict) else ()
    lists = (each for each in inner if isinstance(each, list))
    return any(isinstance(item, dict) for each in lists for item in each) and not any(
        isinstance(each, str) for each in inner
    )


def _parsed(text: str) -> Any:
    """Return what a JSON text holds; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _unwrapped(path: Path, content: dict[str, Any]) -> Any:
    """Return the one list of objects in an object, such as that under `data`."""
    if twice := _keys_twice({"": content} if isinstance(content, _Repeating) else None):
        raise UserError(f"{path}: has {', '.join(map(repr, twice))} more than once")
    keys = ", ".join(map(repr, list(content)[:12]))
    lists = [
        key
        for key, value in content.items()
        if isinstance(value, list) and any(isinstance(each, dict) for each in value)
    ]
    if len(lists) == 1:
        log.info("%s: the entries are those under %r", path, lists[0])
        return content[lists[0]]
    if lists:
        raise UserError(
            f"{path}: has lists under {', '.join(map(repr, lists))}; save the one with the entries "
            "as a file, or, if they are splits, each, and name those as `files` of the data set"
        )
    inner = [value for value in content.values() if value and isinstance(value, dict)]
    if len(inner) == 1:
        return _unwrapped(path, inner[0])
    raise UserError(
        f"{path}: should be a JSON list of entries, not an object; there is none under its keys "
        f"({keys}) either"
    )


def _read_lines(path: Path, text: str) -> Records:
    rows: list[Any] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
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

"""An entry of a data set, and what can be said of entries by looking at them (section 7.2)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

TEXTS = ("instruction", "input", "output")
END_OF_TEXT = "<|endoftext|>"


class Entry(TypedDict):
    """One exercise: what is asked, on what (may be empty), and the wanted answer."""

    instruction: str
    input: str
    output: str


def read_entries(path: Path) -> list[Entry]:
    """Read a JSON list of entries and check every one.

    Raises:
        UserError: not a list, empty, or an entry lacks a key or holds something other than text;
            names the first such entries.
    """
    entries = read_list(path)
    if not entries:
        raise UserError(f"{path}: holds no entries")
    faults = [f"entry {n} {fault}" for n, e in enumerate(entries) if (fault := fault_of(e))]
    if faults:
        raise UserError(f"{path}: {first_few(faults)}")
    return entries


def read_list(path: Path) -> list[Any]:
    """Read a JSON list, whatever it holds.

    Raises:
        UserError: it is none.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise UserError(f"{path}: should be a JSON list of entries, not {kind(content)}")
    return content


def fault_of(entry: Any, called: Mapping[str, str] | None = None) -> str | None:
    """Why something is no entry, as the end of a sentence about it; None if it is one.

    Args:
        entry: anything that JSON can hold.
        called: what its file calls the three texts, where not by their names.
    """
    if not isinstance(entry, dict):
        return f"should be an object, not {kind(entry)}"
    for text in TEXTS:
        name = called[text] if called else text
        if text not in entry:
            return f"has no {name!r}"
        if not isinstance(entry[text], str):
            return f"has {kind(entry[text])} as {name!r}, should be text"
        try:
            entry[text].encode()
        except UnicodeEncodeError:
            return f"has half a surrogate pair in {name!r}, which no file can hold"
    if not entry["instruction"].strip():
        return f"has an empty {called['instruction'] if called else 'instruction'!r}"
    return None


def asked_the_same(entries: Mapping[int, Entry]) -> list[list[list[int]]]:
    """Entries that ask the same, outer white space aside.

    Args:
        entries: by number.

    Returns:
        for every question that stands more than once its answers, in order, and for every answer
        the numbers of the entries that have it.
    """
    asked: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, entry in entries.items():
        question = entry["instruction"].strip(), entry["input"].strip()
        asked[question][entry["output"].strip()].append(number)
    groups = [list(answers.values()) for answers in asked.values()]
    return [answers for answers in groups if sum(map(len, answers)) > 1]


def without_answer(entries: Mapping[int, Entry]) -> list[int]:
    """Numbers of the entries that teach to answer nothing."""
    return [number for number, entry in entries.items() if not entry["output"].strip()]


def with_end_of_text(entries: Mapping[int, Entry]) -> list[int]:
    """Numbers of the entries in which the end-of-text token is written out."""
    return [n for n, entry in entries.items() if any(END_OF_TEXT in entry[t] for t in TEXTS)]


def kind(value: Any) -> str:
    """What JSON calls this type."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def first_few(items: Iterable[str], most: int = 3) -> str:
    """The first of a list in words, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more

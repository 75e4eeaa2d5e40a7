"""The entries of a data set: their type, reading them, and simple searches (section 7.2)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

Text = Literal["instruction", "input", "output"]
TEXTS: tuple[Text, ...] = ("instruction", "input", "output")
END_OF_TEXT = "<|endoftext|>"


class Entry(TypedDict):
    """An instruction, the input it is about (may be empty) and the expected output."""

    instruction: str
    input: str
    output: str


def read_entries(path: Path) -> list[Entry]:
    """Read a JSON list of entries and check every one.

    Raises:
        UserError: not a list, no entries, or entries with a missing key or a value that is not
            text; names the first of them.
    """
    content = read_json(path, made=True)
    if not isinstance(content, list):
        raise UserError(
            f"{path}: should be a JSON list of entries, not {json_type(content)}; delete it and "
            "run again"
        )
    entries: list[Entry] = content
    if not entries:
        raise UserError(f"{path}: holds no entries; delete it and run again")
    faults = [f"entry {n} {fault}" for n, e in enumerate(entries) if (fault := fault_of(e))]
    if faults:
        raise UserError(f"{path}: {first_few(faults)}; delete the file and run again")
    return entries


def read_responses(path: Path) -> list[Mapping[str, str]]:
    """Read the test entries of responses.json, each with a "model_response".

    Raises:
        UserError: as `read_entries`; or a response is missing.
    """
    entries: list[Any] = [*read_entries(path)]
    for number, entry in enumerate(entries):
        if not isinstance(entry.get("model_response"), str):
            raise UserError(
                f"{path}: entry {number} has no text as 'model_response'; delete the file and run "
                "again"
            )
    return entries


def read_samples(path: Path, epochs: int) -> list[Mapping[str, Any]]:
    """Read samples.json: the responses to one entry before training and after each epoch.

    Raises:
        UserError: as `read_responses`; or one is missing.
    """
    samples: list[Mapping[str, Any]] = [*read_responses(path)]
    if [sample.get("epoch") for sample in samples] != list(range(epochs + 1)):
        raise UserError(
            f"{path}: should be a sample before training and after each of {epochs} epochs; delete "
            "it and run again"
        )
    return samples


def list_of(path: Path, content: Any) -> list[Any]:
    """Return the content of a JSON file, checked to be a list.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(content, list):
        raise UserError(f"{path}: should be a JSON list of entries, not {json_type(content)}")
    return content


def fault_of(entry: Any, called: Mapping[Text, str | None] | None = None) -> str | None:
    """Return why a value is not an entry, as the end of a sentence about it; None if it is one.

    Args:
        entry: any JSON value.
        called: the file's names for the three texts, for the message.
    """
    if not isinstance(entry, dict):
        return f"should be an object, not {json_type(entry)}"
    for text in TEXTS:
        name = called[text] if called else text
        if text not in entry:
            return f"has no {name!r}"
        if not isinstance(entry[text], str):
            return f"has {json_type(entry[text])} as {name!r}, should be text"
        try:
            entry[text].encode()
        except UnicodeEncodeError:
            return f"has half a surrogate pair in {name!r}, which UTF-8 cannot encode"
    if not entry["instruction"].strip():
        return f"has an empty {called['instruction'] if called else 'instruction'!r}"
    return None


def group_by_question(entries: Mapping[int, Entry]) -> list[list[list[int]]]:
    """Group entries with the same instruction and input, apart from outer white space.

    Args:
        entries: by number.

    Returns:
        For every question that occurs more than once its different answers, in order, and for
        every answer the numbers of the entries that give it.
    """
    asked: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, entry in entries.items():
        question = entry["instruction"].strip(), entry["input"].strip()
        asked[question][entry["output"].strip()].append(number)
    groups = [list(answers.values()) for answers in asked.values()]
    return [answers for answers in groups if sum(map(len, answers)) > 1]


def empty_outputs(entries: Mapping[int, Entry]) -> list[int]:
    """Return the numbers of the entries whose output is empty."""
    return [number for number, entry in entries.items() if not entry["output"].strip()]


def with_end_of_text(entries: Mapping[int, Entry]) -> list[int]:
    """Return the numbers of the entries that contain <|endoftext|> as text."""
    return [n for n, entry in entries.items() if any(END_OF_TEXT in entry[t] for t in TEXTS)]


def json_type(value: Any) -> str:
    """Return the type of a value in words: one of JSON's, or bytes."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    names |= {bytes: "bytes that are not UTF-8"}
    return names.get(type(value), type(value).__name__)


def first_few(items: Iterable[str], most: int = 3) -> str:
    """Join the first items, and say how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more

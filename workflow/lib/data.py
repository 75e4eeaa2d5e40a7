"""The data set: read, checked and split (section 7.2)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from workflow.lib.errors import UserError
from workflow.lib.files import read_json, write_json
from workflow.lib.runlog import log
from workflow.lib.settings.sources import Split

REQUIRED_KEYS = ("instruction", "input", "output")


class Entry(TypedDict):
    """One exercise: what is asked, on what (may be empty), and the wanted answer."""

    instruction: str
    input: str
    output: str


def split_dataset(
    dataset: Path, split: Split, *, train: Path, val: Path, test: Path, quality: Path
) -> None:
    """Split a data set in file order (listing 7.3) and report what is doubtful in it.

    Args:
        dataset: JSON list of entries.
        split: shares of training and test entries; validation gets the rest, from the end.
        train, val, test: JSON files to write, entries unchanged.
        quality: JSON file to write: duplicates, conflicts and leaks, by entry number from 0.
    """
    entries = read_entries(dataset)
    first_test = int(len(entries) * split.train)
    first_val = first_test + int(len(entries) * split.test)
    parts = {
        "train": entries[:first_test],
        "test": entries[first_test:first_val],
        "val": entries[first_val:],
    }
    if empty := [name for name, part in parts.items() if not part]:
        raise UserError(
            f"{dataset}: {len(entries)} entries split {split.train} / {split.test} leave nothing "
            f"to {' and '.join(empty)}; change `split` of the data set or add entries"
        )
    for path, name in ((train, "train"), (val, "val"), (test, "test")):
        write_json(path, parts[name])
    findings = find_doubtful(entries, first_test, first_val)
    write_json(quality, {"entries": {n: len(p) for n, p in parts.items()}, **findings})
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    log.info("%d entries: %s", len(entries), counts)
    for finding, groups in findings.items():
        if groups:
            log.info("%s: %d (entries in %s)", finding.replace("_", " "), len(groups), quality)


def read_entries(path: Path) -> list[Entry]:
    """Read a JSON list of entries and check every one.

    Raises:
        UserError: not a list, empty, or an entry lacks a key or holds something other than text;
            names the first such entries.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(f"{path}: should be a JSON list of entries, not {_kind(entries)}")
    if not entries:
        raise UserError(f"{path}: holds no entries")
    faults = [f"entry {n} {fault}" for n, e in enumerate(entries) if (fault := _fault(e))]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"{path}: {'; '.join(faults[:3])}{more}")
    return entries


def find_doubtful(
    entries: Sequence[Entry], first_test: int, first_val: int
) -> dict[str, list[list[int]]]:
    """Entries that weaken the measurement.

    Args:
        entries: the whole data set.
        first_test, first_val: where the test and validation entries start.

    Returns:
        groups of entry numbers under `duplicates` (all three texts the same),
        `conflicting_answers` (asked the same, answered differently) and `test_also_in_train`
        (asked the same in both).
    """
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        asked[entry["instruction"].strip(), entry["input"].strip()].append(number)
    findings: dict[str, list[list[int]]] = {
        "duplicates": [],
        "conflicting_answers": [],
        "test_also_in_train": [],
    }
    for numbers in asked.values():
        answers: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            answers[entries[number]["output"].strip()].append(number)
        findings["duplicates"] += [same for same in answers.values() if len(same) > 1]
        if len(answers) > 1:
            findings["conflicting_answers"].append(numbers)
        tested = [n for n in numbers if first_test <= n < first_val]
        if tested and numbers[0] < first_test:
            findings["test_also_in_train"].append(numbers)
    return findings


def _fault(entry: Any) -> str | None:
    """What is wrong with an entry, as the end of a sentence about it."""
    if not isinstance(entry, dict):
        return f"should be an object, not {_kind(entry)}"
    for key in REQUIRED_KEYS:
        if key not in entry:
            return f"has no {key!r}"
        if not isinstance(entry[key], str):
            return f"has {_kind(entry[key])} as {key!r}, should be text"
        try:
            entry[key].encode()
        except UnicodeEncodeError:
            return f"has half a surrogate pair in {key!r}, which no file can hold"
    if not entry["instruction"].strip():
        return "has an empty 'instruction'"
    return None


def _kind(value: Any) -> str:
    """What JSON calls this type."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")

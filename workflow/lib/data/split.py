"""A data set's files as three lists of entries: read, checked and split (listing 7.3)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import (
    TEXTS,
    Entry,
    asked_the_same,
    fault_of,
    first_few,
    with_end_of_text,
    without_answer,
)
from workflow.lib.data.formats import Records, read_records
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.sources import Checks, Fields, Selection, Split


def split_dataset(
    files: Mapping[str, Path],
    selection: Selection,
    key: str,
    *,
    train: Path,
    val: Path,
    test: Path,
    origins: Path,
) -> None:
    """Read a data set, settle what is doubtful in it and split it.

    Entries are numbered from 0 in the order of the file, on through the second and third file.

    Args:
        files: one under the empty name, or three: train, val and test.
        selection: what to take of them, and how to split it.
        key: the entry of config.yaml that describes the data set, such as `datasets.mine`.
        train, val, test: JSON files to write: lists of entries, further fields kept.
        origins: JSON file to write: the number in the data set of every entry of every split, the
            line each number starts in where the format has lines, and the numbers left out.

    Raises:
        UserError: a file cannot be read, a check refuses entries, or a split would be empty.
    """
    records = {name: read_records(path) for name, path in files.items()}
    source = ", ".join(map(str, files.values()))
    clearing = Clearing(source, key, selection.checks, _places(records))
    entries = _normalised(files, records, selection.fields, clearing)
    for check, groups, surplus in _doubts(entries):
        for number in clearing.settle(check, groups, surplus):
            entries.pop(number, None)
    parts = _parted(list(entries), records, selection)
    left_out = clearing.settle("leaks", *_leaks(entries, parts))
    parts = {name: [n for n in numbers if n not in left_out] for name, numbers in parts.items()}
    if empty := [name for name, numbers in parts.items() if not numbers]:
        shares = f" split {selection.split.train:g} / {selection.split.test:g}"
        raise UserError(
            f"{source}: {min(len(entries), selection.limit or len(entries))} entries"
            f"{'' if len(files) > 1 else shares} leave nothing to {' and '.join(empty)}; "
            f"change `split`, `limit` or `checks` of {key}, or add entries"
        )
    for path, name in ((train, "train"), (val, "val"), (test, "test")):
        write_json(path, [entries[number] for number in parts[name]])
    write_json(
        origins,
        {
            "files": [
                {
                    "file": str(path),
                    "entries": len(records[name].rows),
                    "lines": records[name].lines,
                }
                for name, path in files.items()
            ],
            **{name: parts[name] for name in ("train", "val", "test")},
            "left_out": clearing.left_out,
        },
    )
    counts = ", ".join(f"{len(parts[name])} {name}" for name in ("train", "test", "val"))
    log.info("%d entries: %s", sum(map(len, parts.values())), counts)


@dataclass
class Clearing:
    """Does with doubtful entries what the settings say.

    Args:
        source: the files, for messages.
        key: the data set in config.yaml.
        checks: what becomes of each kind of doubt.
        places: what to call each entry, by number.
        left_out: numbers dropped so far, by kind of doubt.
    """

    source: str
    key: str
    checks: Checks
    places: Sequence[str]
    left_out: dict[str, list[int]] = field(default_factory=dict)

    def settle(
        self, check: str, groups: Sequence[Sequence[int]], surplus: Sequence[int]
    ) -> set[int]:
        """Name the entries, then keep, drop or refuse them.

        Args:
            check: a field of Checks.
            groups: entries that are doubtful together.
            surplus: those that dropping takes away.

        Returns:
            the numbers to leave out.
        """
        named = [" = ".join(self.places[number] for number in group) for group in groups]
        return self.settle_named(check, named, surplus)

    def settle_named(self, check: str, named: Sequence[str], surplus: Sequence[int]) -> set[int]:
        """The same, with words for each."""
        if not named:
            return set()
        action, words = getattr(self.checks, check), check.replace("_", " ")
        if action == "raise":
            for line in named:
                log.info("%s: %s", words, line)
            way = "drop" if check == "broken" else "drop or report"
            raise UserError(
                f"{self.source}: {words}: {first_few(named)}; correct the data, or set "
                f"{self.key}.checks.{check} to {way}"
            )
        log.info("%s: %d: %s", words, len(named), first_few(named, 10))
        if action == "report":
            return set()
        self.left_out[check] = sorted(surplus)
        log.info("%s: %d entries left out", words, len(surplus))
        return set(surplus)


def _places(records: Mapping[str, Records]) -> list[str]:
    """What to call every entry: its number in its file, and its line."""
    return [
        f"{name + ' ' if name else ''}entry {number}"
        + (f" (line {read.lines[number]})" if read.lines else "")
        for name, read in records.items()
        for number in range(len(read.rows))
    ]


def _normalised(
    files: Mapping[str, Path], records: Mapping[str, Records], fields: Fields, clearing: Clearing
) -> dict[int, Entry]:
    """The rows as entries, by number, without those that are none."""
    called = {text: getattr(fields, text) for text in TEXTS}
    for name, read in records.items():
        _check_fields(files[name], read.rows, called, clearing.key)
    rows = [_renamed(row, called) for read in records.values() for row in read.rows]
    known = [read.faults.get(n) for read in records.values() for n in range(len(read.rows))]
    faults = {
        number: fault
        for number, row in enumerate(rows)
        if (fault := known[number] or fault_of(row, called))
    }
    named = [f"{clearing.places[number]} {fault}" for number, fault in faults.items()]
    left_out = clearing.settle_named("broken", named, list(faults))
    return {number: row for number, row in enumerate(rows) if number not in left_out}


def _check_fields(
    path: Path, rows: Sequence[Any], called: Mapping[str, str | None], key: str
) -> None:
    """A name that no entry has is a mistake of the settings, not of the data."""
    there = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    for text, name in called.items():
        if name is None or name in there or not there:
            continue
        if text == "input" == name:  # its usual name: a data set may have none
            log.info("%s: no entry has an input", path)
            continue
        raise UserError(
            f"{path}: no entry has {name!r}; there are: {', '.join(map(str, there[:12]))}; "
            f"say which is the {text} with {key}.fields.{text}"
        )


def _renamed(row: Any, called: Mapping[str, str | None]) -> Any:
    """A row with its three texts under their own names, and all its further fields."""
    if not isinstance(row, dict):
        return row
    names = {name: text for text, name in called.items() if name is not None}
    entry = {
        names.get(name, name): value
        for name, value in row.items()
        if name in names or name not in TEXTS
    }
    return entry if entry.get("input") is not None else {**entry, "input": ""}


def _doubts(entries: Mapping[int, Entry]) -> list[tuple[str, list[list[int]], list[int]]]:
    """Kinds of doubt, the entries of each in groups, and those too many."""
    empty, ending = without_answer(entries), with_end_of_text(entries)
    questions = asked_the_same(entries)
    same = [numbers for answers in questions for numbers in answers if len(numbers) > 1]
    conflicts = [sorted(chain(*answers)) for answers in questions if len(answers) > 1]
    other = [n for answers in questions for numbers in answers[1:] for n in numbers]
    return [
        ("empty_output", [[n] for n in empty], empty),
        ("end_of_text", [[n] for n in ending], ending),
        ("duplicates", same, [number for numbers in same for number in numbers[1:]]),
        ("conflicting_answers", conflicts, other),
    ]


def _parted(
    numbers: Sequence[int], records: Mapping[str, Records], selection: Selection
) -> dict[str, list[int]]:
    """Entry numbers by split, in the order the splits are cut: training, testing, validation."""
    split, limit = selection.split, selection.limit
    if len(records) > 1:
        parts, start = {}, 0
        for name, read in records.items():
            end = start + len(read.rows)
            parts[name] = [n for n in numbers if start <= n < end][:limit]
            start = end
        return parts
    order = list(numbers)
    if split.shuffle is not None:
        random.Random(split.shuffle).shuffle(order)
    return cut(order[:limit], split)


def cut(order: Sequence[int], split: Split) -> dict[str, list[int]]:
    """Listing 7.3."""
    first_test = int(len(order) * split.train)
    first_val = first_test + int(len(order) * split.test)
    return {
        "train": list(order[:first_test]),
        "test": list(order[first_test:first_val]),
        "val": list(order[first_val:]),
    }


def _leaks(
    entries: Mapping[int, Entry], parts: Mapping[str, Sequence[int]]
) -> tuple[list[list[int]], list[int]]:
    """Questions of test entries that stand in another split too, and the entries there."""
    tested, others = set(parts["test"]), {*parts["train"], *parts["val"]}
    groups = [sorted(chain(*answers)) for answers in asked_the_same(entries)]
    leaks = [
        [n for n in group if n in tested or n in others]
        for group in groups
        if tested & set(group) and others & set(group)
    ]
    return leaks, [number for group in leaks for number in group if number in others]

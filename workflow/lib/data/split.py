"""Reading, checking and splitting a data set into three lists of entries (listing 7.3)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from workflow.lib.data.columns import COLUMNS, Column, find_columns, rename
from workflow.lib.data.entries import (
    TEXTS,
    Entry,
    Text,
    empty_outputs,
    fault_of,
    first_few,
    group_by_question,
    with_end_of_text,
)
from workflow.lib.data.formats import read_records
from workflow.lib.data.messages import are_messages, entries_of_messages
from workflow.lib.data.records import Records
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
    """Read a data set, apply the checks of the settings and split it.

    Entries are numbered from 0 in the order of the file, and on through a second and third file.

    Args:
        files: one file under the empty name, or three: train, val and test.
        selection: fields, checks, limit and split of the data set.
        key: the entry of config.yaml that describes the data set, such as `datasets.mine`.
        train, val, test: JSON files to write: lists of entries, with all their further fields.
        origins: JSON file to write: the number in the data set of every entry of every split, the
            line that each row starts in if the format has lines, and the numbers left out.

    Raises:
        UserError: a file cannot be read, a check refuses entries, or a split would be empty.
    """
    records = {name: read_records(path) for name, path in files.items()}
    records = {name: _read_turns(files[name], read, selection, key)
               for name, read in records.items()}  # fmt: skip
    source = ", ".join(map(str, files.values()))
    checker = Checker(source, key, selection.checks, _labels(records))
    entries = _to_entries(files, records, selection.fields, checker)
    for check, groups, surplus in _find_doubtful(entries):
        for number in checker.apply(check, groups, surplus):
            entries.pop(number, None)
    parts = _assign_splits(list(entries), records, selection)
    left_out = checker.apply("leaks", *_find_leaks(entries, parts))
    parts = {name: [n for n in numbers if n not in left_out] for name, numbers in parts.items()}
    if empty := [name for name, numbers in parts.items() if not numbers]:
        shares = f" split {selection.split.train:g} / {selection.split.test:g}"
        raise UserError(
            f"{source}: {min(len(entries), selection.limit or len(entries))} entries"
            f"{'' if len(files) > 1 else shares} leave nothing for {' and '.join(empty)}; "
            f"change `split`, `limit` or `checks` of {key}, or add entries"
        )
    for path, name in ((train, "train"), (val, "val"), (test, "test")):
        write_json(path, [entries[number] for number in parts[name]], recorded=True)
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
            "left_out": checker.left_out,
        },
        recorded=True,
    )
    counts = ", ".join(f"{len(parts[name])} {name}" for name in ("train", "test", "val"))
    log.info("%d entries: %s", sum(map(len, parts.values())), counts)


@dataclass
class Checker:
    """Reports, drops or refuses doubtful entries, as the settings say.

    Args:
        source: the files, for messages.
        key: the entry of config.yaml that describes the data set.
        checks: the action for each check.
        labels: how messages name each entry, by number.
        left_out: the numbers dropped so far, by check.
    """

    source: str
    key: str
    checks: Checks
    labels: Sequence[str]
    left_out: dict[str, list[int]] = field(default_factory=dict)

    def apply(
        self, check: str, groups: Sequence[Sequence[int]], surplus: Sequence[int]
    ) -> set[int]:
        """Take the action of a check.

        Args:
            check: a field of Checks.
            groups: entries that are doubtful together.
            surplus: the entries that dropping removes.

        Returns:
            The numbers to leave out.

        Raises:
            UserError: there are such entries, and the action is `raise`.
        """
        named = [" = ".join(self.labels[number] for number in group) for group in groups]
        return self.apply_named(check, named, surplus)

    def apply_named(self, check: str, named: Sequence[str], surplus: Sequence[int]) -> set[int]:
        """Take the action of a check on entries that are described in words; see `apply`."""
        if not named:
            return set()
        action, words = getattr(self.checks, check), check.replace("_", " ")
        if action == "raise":
            for line in named:
                log.info("%s: %s", words, line, extra={"detail": True})
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


def _labels(records: Mapping[str, Records]) -> list[str]:
    """Return how messages name every entry: its number in its file, and its line."""
    return [
        f"{name + ' ' if name else ''}entry {number}"
        + (f" (line {read.lines[number]})" if read.lines else "")
        for name, read in records.items()
        for number in range(len(read.rows))
    ]


def _read_turns(path: Path, read: Records, selection: Selection, key: str) -> Records:
    """Return the rows of a file, those of conversations as entries if the settings say so."""
    if selection.format == "messages":
        return entries_of_messages(read)
    first = read.rows[0]
    values = first.values() if isinstance(first, dict) else [first]
    if any(map(are_messages, values)) and not (
        isinstance(first, dict) and selection.fields.instruction in first
    ):
        raise UserError(f"{path}: holds conversations; set {key}.format to messages")
    return read


def _to_entries(
    files: Mapping[str, Path], records: Mapping[str, Records], fields: Fields, checker: Checker
) -> dict[int, Entry]:
    """Turn rows into entries, by number; the check `broken` decides about invalid rows."""
    names: dict[Column, str | None] = {column: getattr(fields, column) for column in COLUMNS}
    called: dict[Text, str | None] = {text: names[text] for text in TEXTS}
    rows: list[Any] = []
    for name, read in records.items():
        columns = find_columns(files[name], read.rows, names, checker.key)
        rows += (rename(row, columns) for row in read.rows)
    known = [read.faults.get(n) for read in records.values() for n in range(len(read.rows))]
    faults = {
        number: fault
        for number, row in enumerate(rows)
        if (fault := known[number] or fault_of(row, called))
    }
    named = [f"{checker.labels[number]} {fault}" for number, fault in faults.items()]
    left_out = checker.apply_named("broken", named, list(faults))
    return {number: row for number, row in enumerate(rows) if number not in left_out}


def _find_doubtful(entries: Mapping[int, Entry]) -> list[tuple[str, list[list[int]], list[int]]]:
    """Return each check with the groups of entries it concerns, and those that dropping removes."""
    empty, ending = empty_outputs(entries), with_end_of_text(entries)
    questions = group_by_question(entries)
    same = [numbers for answers in questions for numbers in answers if len(numbers) > 1]
    conflicts = [sorted(chain(*answers)) for answers in questions if len(answers) > 1]
    other = [n for answers in questions for numbers in answers[1:] for n in numbers]
    return [
        ("empty_output", [[n] for n in empty], empty),
        ("end_of_text", [[n] for n in ending], ending),
        ("duplicates", same, [number for numbers in same for number in numbers[1:]]),
        ("conflicting_answers", conflicts, other),
    ]


def _assign_splits(
    numbers: Sequence[int], records: Mapping[str, Records], selection: Selection
) -> dict[str, list[int]]:
    """Return the entry numbers of every split."""
    split, limit = selection.split, selection.limit
    if len(records) > 1:
        parts: dict[str, list[int]] = {}
        start = 0
        for name, read in records.items():
            end = start + len(read.rows)
            parts[name] = [n for n in numbers if start <= n < end][:limit]
            start = end
        return parts
    order = list(numbers)
    if split.shuffle is not None:
        random.Random(split.shuffle).shuffle(order)
    return split_in_order(order[:limit], split)


def split_in_order(order: Sequence[int], split: Split) -> dict[str, list[int]]:
    """Split by the given shares: training, then test, then validation (listing 7.3)."""
    first_test = int(len(order) * split.train)
    first_val = first_test + int(len(order) * split.test)
    return {
        "train": list(order[:first_test]),
        "test": list(order[first_test:first_val]),
        "val": list(order[first_val:]),
    }


def _find_leaks(
    entries: Mapping[int, Entry], parts: Mapping[str, Sequence[int]]
) -> tuple[list[list[int]], list[int]]:
    """Return groups of entries with a test entry's question, and those of them in other splits."""
    tested, others = set(parts["test"]), {*parts["train"], *parts["val"]}
    groups = [sorted(chain(*answers)) for answers in group_by_question(entries)]
    leaks = [
        [n for n in group if n in tested or n in others]
        for group in groups
        if tested & set(group) and others & set(group)
    ]
    return leaks, [number for group in leaks for number in group if number in others]

"""Makes quality.json: what weakens what is learned or measured from a data set."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import (
    TEXTS,
    Entry,
    asked_the_same,
    read_entries,
    with_end_of_text,
    without_answer,
)
from workflow.lib.data.quality.lengths import histogram
from workflow.lib.data.quality.near_duplicates import AlikeEntries
from workflow.lib.runtime.files import read_json, write_json
from workflow.lib.runtime.log import log, progress

SPLITS = ("train", "val", "test")


def measure_quality(files: Mapping[str, Path], near: float, output: Path) -> None:
    """Look at the entries of all splits.

    Args:
        files: what `split_dataset` wrote: train, val, test and origins.
        near: percent from which on two entries are alike.
        output: JSON file to write: how many entries each split has, the findings of
            `find_doubtful`, the numbers left out before, lengths of the texts, and under `where`
            the split, place in it, file and line of every number named.
    """
    origins = read_json(files["origins"])
    parts = {name: dict(zip(origins[name], read_entries(files[name]), strict=True))
             for name in SPLITS}  # fmt: skip
    findings = find_doubtful(parts, near)
    entries = [entry for part in parts.values() for entry in part.values()]
    lengths = {
        text: {
            "words": histogram([len(entry[text].split()) for entry in entries]),
            "characters": histogram([len(entry[text]) for entry in entries]),
        }
        for text in TEXTS
    }
    named = {n for groups in findings.values() for group in groups for n in _numbers(group)}
    write_json(
        output,
        {
            "entries": {name: len(part) for name, part in parts.items()},
            **findings,
            "left_out": origins["left_out"],
            "near": near,
            "lengths": lengths,
            "where": _where(
                origins, named | {n for ns in origins["left_out"].values() for n in ns}
            ),
        },
    )
    for finding, groups in findings.items():
        if groups:
            log.info("%s: %d (entries in %s)", finding.replace("_", " "), len(groups), output)


def find_doubtful(
    parts: Mapping[str, Mapping[int, Entry]], near: float
) -> dict[str, list[list[Any]]]:
    """Entries that weaken the measurement.

    Args:
        parts: the entries of every split by their number in the data set.
        near: percent from which on two entries are alike.

    Returns:
        groups of entry numbers under `duplicates` (all three texts the same),
        `conflicting_answers` (asked the same, answered differently), `test_also_in_train`,
        `test_also_in_val` and `val_also_in_train` (asked the same in both), `empty_outputs` and
        `end_of_text`; and [number, number, percent] under `near_duplicates` (every entry with the
        most alike before it) and `test_near_train` (every test entry with the most alike one).
    """
    entries = dict(sorted((n, e) for part in parts.values() for n, e in part.items()))
    split_of = {number: name for name, part in parts.items() for number in part}
    questions = asked_the_same(entries)
    groups = [sorted(chain(*answers)) for answers in questions]

    def in_both(one: str, other: str) -> list[list[int]]:
        found = ([n for n in group if split_of[n] in (one, other)] for group in groups)
        return [group for group in found if {split_of[n] for n in group} == {one, other}]

    alike = AlikeEntries(entries, near)
    in_order = progress(entries, "alike entries", len(entries))
    return {
        "duplicates": [same for answers in questions for same in answers if len(same) > 1],
        "conflicting_answers": [
            group for group, answers in zip(groups, questions, strict=True) if len(answers) > 1
        ],
        "test_also_in_train": in_both("test", "train"),
        "test_also_in_val": in_both("test", "val"),
        "val_also_in_train": in_both("val", "train"),
        "near_duplicates": [*map(list, alike.each_with_one_before(in_order))],
        "test_near_train": [
            *map(list, alike.each_with_one_of(sorted(parts["test"]), sorted(parts["train"])))
        ],
        "empty_outputs": [[number] for number in without_answer(entries)],
        "end_of_text": [[number] for number in with_end_of_text(entries)],
    }


def _numbers(group: list[Any]) -> list[int]:
    """The entry numbers of a group, without the percent of one that is only alike."""
    return [item for item in group if isinstance(item, int)]


def _where(origins: Mapping[str, Any], numbers: set[int]) -> dict[str, dict[str, Any]]:
    """Where each of the entries stands, before and after splitting."""
    place = {n: (name, index) for name in SPLITS for index, n in enumerate(origins[name])}
    found, start = {}, 0
    for file in origins["files"]:
        for number in sorted(n for n in numbers if start <= n < start + file["entries"]):
            split, index = place.get(number, (None, None))
            found[str(number)] = {"split": split, "index": index, "file": file["file"],
                                  "entry": number - start}  # fmt: skip
            if file["lines"]:
                found[str(number)]["line"] = file["lines"][number - start]
        start += file["entries"]
    return found

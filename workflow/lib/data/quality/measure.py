"""The findings of quality.json: entries that weaken what is learned or measured."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import (
    TEXTS,
    Entry,
    empty_outputs,
    group_by_question,
    read_entries,
    with_end_of_text,
)
from workflow.lib.data.quality.lengths import histogram
from workflow.lib.data.quality.near_duplicates import NearDuplicates
from workflow.lib.data.quality.record import read_origins
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log, progress_bar

SPLITS = ("train", "val", "test")


def measure_quality(files: Mapping[str, Path], near: float, output: Path) -> None:
    """Examine the entries of all splits and write quality.json.

    Args:
        files: the files that `split_dataset` wrote: train, val, test and origins.
        near: similarity in percent from which two entries are near duplicates.
        output: JSON file to write: the number of entries of every split, the findings of
            `find_doubtful`, `counts` of them, the numbers left out by the checks, histograms of
            text lengths, `not_compared` if pairs were left out of the search for near duplicates,
            and under `where` the split, index, file and line of every entry named.
    """
    origins = read_origins(files["origins"])
    parts = {}
    for name in SPLITS:
        entries = read_entries(files[name])
        if len(entries) != len(origins[name]):
            raise UserError(
                f"{files['origins']}: not of the {len(entries)} entries of {files[name]}; delete "
                "both and run again"
            )
        parts[name] = dict(zip(origins[name], entries, strict=True))
    findings, not_compared = find_doubtful(parts, near)
    counts = count(findings, parts)
    texts = [entry for part in parts.values() for entry in part.values()]
    lengths = {
        text: {
            "words": histogram([len(entry[text].split()) for entry in texts]),
            "characters": histogram([len(entry[text]) for entry in texts]),
        }
        for text in TEXTS
    }
    named = {n for groups in findings.values() for group in groups for n in _numbers(group)}
    write_json(
        output,
        {
            "entries": {name: len(part) for name, part in parts.items()},
            **findings,
            "counts": counts,
            "left_out": origins["left_out"],
            "near": near,
            **({"not_compared": not_compared} if not_compared else {}),
            "lengths": lengths,
            "where": _where(
                origins, named | {n for ns in origins["left_out"].values() for n in ns}
            ),
        },
        recorded=True,
    )
    if not_compared:
        log.info("near duplicates: up to %d pairs were not compared", not_compared)
    for finding, number in counts.items():
        if number:
            log.info("%s: %d (listed in %s)", finding.replace("_", " "), number, output)


def find_doubtful(
    parts: Mapping[str, Mapping[int, Entry]], near: float
) -> tuple[dict[str, list[list[Any]]], int]:
    """Find entries that weaken what is learned or measured.

    Args:
        parts: the entries of every split by their number in the data set.
        near: similarity in percent from which two entries are near duplicates.

    Returns:
        Groups of entry numbers under `duplicates` (all three texts equal), `conflicting_answers`
        (same question, different outputs), `test_also_in_train`, `test_also_in_val` and
        `val_also_in_train` (same question in both), `empty_outputs` and `end_of_text`; and
        [number, number, percent] under `near_duplicates` (an entry and the most similar one before
        it) and `test_near_train` (a test entry and the most similar training entry). Then how many
        pairs at most were not compared with each other (near_duplicates.py).
    """
    entries = dict(sorted((n, e) for part in parts.values() for n, e in part.items()))
    split_of = {number: name for name, part in parts.items() for number in part}
    questions = group_by_question(entries)
    groups = [sorted(chain(*answers)) for answers in questions]

    def in_both(one: str, other: str) -> list[list[int]]:
        found = ([n for n in group if split_of[n] in (one, other)] for group in groups)
        return [group for group in found if {split_of[n] for n in group} == {one, other}]

    similar = NearDuplicates(entries, near)
    in_order = progress_bar(entries, "near duplicates", len(entries))
    found: dict[str, list[list[Any]]] = {
        "duplicates": [same for answers in questions for same in answers if len(same) > 1],
        "conflicting_answers": [
            group for group, answers in zip(groups, questions, strict=True) if len(answers) > 1
        ],
        "test_also_in_train": in_both("test", "train"),
        "test_also_in_val": in_both("test", "val"),
        "val_also_in_train": in_both("val", "train"),
        "near_duplicates": [list(pair) for pair in similar.among(in_order)],
        "test_near_train": [
            list(pair) for pair in similar.between(sorted(parts["test"]), sorted(parts["train"]))
        ],
        "empty_outputs": [[number] for number in empty_outputs(entries)],
        "end_of_text": [[number] for number in with_end_of_text(entries)],
    }
    return found, similar.not_compared


def count(
    findings: Mapping[str, Sequence[Sequence[Any]]], parts: Mapping[str, Mapping[int, Entry]]
) -> dict[str, int]:
    """Return the number of each finding.

    Duplicates and conflicting answers are counted in groups, the others in entries: those of the
    split that the finding names first, or of all. The copies of a near duplicate, which
    `find_doubtful` does not repeat, count as well.
    """
    copies = {number: group for group in findings["duplicates"] for number in group}
    counts: dict[str, int] = {}
    for finding, groups in findings.items():
        if finding in ("duplicates", "conflicting_answers"):
            counts[finding] = len(groups)
            continue
        numbers = set(chain(*groups))
        if "near" in finding:
            numbers = {n for number, *_ in groups for n in copies.get(number, [number])}
        split = finding.partition("_")[0]
        counts[finding] = len(numbers & parts[split].keys() if split in parts else numbers)
    return counts


def _numbers(group: list[Any]) -> list[int]:
    """Return the entry numbers of a group, without the percent of a near duplicate."""
    return [item for item in group if isinstance(item, int)]


def _where(origins: Mapping[str, Any], numbers: set[int]) -> dict[str, dict[str, Any]]:
    """Return the split, index, file, number in the file and line of each entry, by number."""
    place = {n: (name, index) for name in SPLITS for index, n in enumerate(origins[name])}
    found: dict[str, dict[str, Any]] = {}
    start = 0
    for file in origins["files"]:
        for number in sorted(n for n in numbers if start <= n < start + file["entries"]):
            split, index = place.get(number, (None, None))
            found[str(number)] = {"split": split, "index": index, "file": file["file"],
                                  "entry": number - start}  # fmt: skip
            if file["lines"]:
                found[str(number)]["line"] = file["lines"][number - start]
        start += file["entries"]
    return found

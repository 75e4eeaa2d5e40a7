"""The findings of quality.json in words, for the report and the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.lib.data.quality.record import repeated_numbers

_MEANINGS = {
    "duplicates": (
        "Duplicates",
        "Groups of entries with the same instruction, input and output.",
    ),
    "near_duplicates": (
        "Near duplicates",
        "Entries whose question and answer both nearly equal those of an earlier entry.",
    ),
    "conflicting_answers": (
        "Conflicting answers",
        "Groups of entries that ask the same question and expect different answers.",
    ),
    "test_also_in_train": (
        "Test entries that are also in the training split",
        "The model has seen these questions, so their answers measure memory.",
    ),
    "test_near_train": (
        "Test entries with near duplicates in the training split",
        "The model has seen nearly these questions with nearly these answers.",
    ),
    "repeated_in_test": (
        "Test entries that ask the same question",
        "Each of them counts in the score, as if they were different questions.",
    ),
    "test_also_in_val": (
        "Test entries that are also in the validation split",
        "With `keep: best` they took part in choosing the weights.",
    ),
    "val_also_in_train": (
        "Validation entries that are also in the training split",
        "They make the validation loss look lower.",
    ),
    "empty_outputs": ("Empty answers", "Entries that teach the model to answer nothing."),
    "end_of_text": (
        "Entries with <|endoftext|> inside",
        "It is tokenized as plain text, not as the end-of-text token.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One kind of finding.

    Args:
        key: of quality.json.
        name: a title.
        meaning: a sentence that says what is counted and why it matters.
        count: the number of groups or of entries, as name and meaning say.
        groups: entries that belong together, by their number from 0 in the data set.
        named: the groups in words, with the similarity of near duplicates.
        size: how many entries, their share of the split or the data set, and in how many groups;
            empty for none.
    """

    key: str
    name: str
    meaning: str
    count: int
    groups: Sequence[Sequence[int]]
    named: Sequence[str]
    size: str


def findings(quality: Mapping[str, Any]) -> list[Finding]:
    """Return every kind of finding, also those without any groups.

    Args:
        quality: content of quality.json.
    """
    found = []
    for key, (name, meaning) in _MEANINGS.items():
        if key in ("near_duplicates", "test_near_train"):
            if left := quality.get("not_compared"):
                meaning += (
                    f" Of so many or such long texts, up to {left:,} pairs were not compared."
                )
            groups = [[number, other] for number, other, _ in quality[key]]
            named = [f"{number} ≈ {other} ({ratio:.0f}%)" for number, other, ratio in quality[key]]
        else:
            groups = repeated_numbers(quality) if key == "repeated_in_test" else quality[key]
            named = [" = ".join(map(str, group)) for group in groups]
        entries = _entries(key, groups, quality)
        count = quality["counts"].get(key, entries)
        size = _size(key, entries, len(groups), quality["entries"]) if groups else ""
        found.append(Finding(key, name, meaning, count, groups, named, size))
    return found


def _entries(key: str, groups: Sequence[Sequence[int]], quality: Mapping[str, Any]) -> int:
    """Return the number of entries of a finding, of the split that it names first or of all."""
    if "near" in key:
        return int(quality["counts"][key])  # with the copies, which the pairs do not repeat
    split, where = _split(key), quality["where"]
    numbers = {number for group in groups for number in group}
    return sum(split in ("", where[str(number)]["split"]) for number in numbers)


def _split(key: str) -> str:
    """Return the split whose entries a finding counts; empty for all of them."""
    if key == "repeated_in_test":
        return "test"
    return next((split for split in ("test", "val") if key.startswith(f"{split}_")), "")


def _size(key: str, entries: int, groups: int, totals: Mapping[str, int]) -> str:
    split = _split(key)
    total = totals[split] if split else sum(totals.values())
    of = {"test": "test split", "val": "validation split"}.get(split, "data set")
    words = (
        f"{entries:,} {'entry' if entries == 1 else 'entries'}, {share(entries, total)} of the {of}"
    )
    if "near" in key or groups == entries:
        return f"{words}."
    return f"{words}, in {groups:,} group{'' if groups == 1 else 's'}."


def share(count: int, total: int) -> str:
    """Return a share in whole percent, or with a digit more below one percent."""
    return f"{count / total:.1%}" if count < total / 100 else f"{count / total:.0%}"


def left_out(quality: Mapping[str, Any]) -> list[tuple[str, list[int]]]:
    """Return the entry numbers that the checks of the settings left out, by check in words."""
    return [(why.replace("_", " "), numbers) for why, numbers in quality["left_out"].items()]

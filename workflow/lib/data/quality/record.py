"""origins.json and quality.json of a data set, as the jobs after them read them."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, model_validator

from workflow.lib.data.entries import Text
from workflow.lib.data.stored import OPEN, Stored, Whole, read_stored

_Split = Literal["train", "val", "test"]
_Numbers = list[Whole]
_Pair = Annotated[tuple[Whole, Whole, float], Strict(False)]


class _File(Stored):
    file: str
    entries: Whole
    lines: _Numbers | None


class _Origins(Stored):
    files: list[_File]
    train: _Numbers
    val: _Numbers
    test: _Numbers
    left_out: dict[str, _Numbers]

    @model_validator(mode="after")
    def check_numbers(self) -> Self:
        """Check that the entries are in the files, with their lines if there are any."""
        split = [*self.train, *self.val, *self.test]
        if len({*split}) < len(split):
            raise ValueError("numbers an entry twice")
        numbers = [*split, *chain(*self.left_out.values())]
        if max(numbers, default=0) >= sum(file.entries for file in self.files):
            raise ValueError("numbers an entry that no file has")
        if any(file.lines and len(file.lines) != file.entries for file in self.files):
            raise ValueError("has not a line for each entry")
        return self


class _Lengths(Stored):
    starts: _Numbers
    counts: _Numbers
    median: float
    longest: Whole

    @model_validator(mode="after")
    def check_bins(self) -> Self:
        """Check that each bin has a count, and one is not empty."""
        if len(self.starts) != len(self.counts) or not any(self.counts):
            raise ValueError("has not a count for each bin")
        return self


class _Place(Stored):
    split: _Split | None
    index: Whole | None


class _Findings(Stored):
    duplicates: list[_Numbers]
    near_duplicates: list[_Pair]
    conflicting_answers: list[_Numbers]
    test_also_in_train: list[_Numbers]
    test_also_in_val: list[_Numbers]
    val_also_in_train: list[_Numbers]
    test_near_train: list[_Pair]
    empty_outputs: list[_Numbers]
    end_of_text: list[_Numbers]


class _Quality(_Findings):
    entries: dict[_Split, Whole] = Field(min_length=3)
    counts: dict[str, Whole]
    left_out: dict[str, _Numbers]
    near: float = OPEN
    not_compared: Whole = 0
    lengths: dict[Text, dict[str, _Lengths]] = Field(min_length=3)
    where: dict[str, _Place]

    @model_validator(mode="after")
    def check_findings(self) -> Self:
        """Check that each finding has a count, and each entry in one a place."""
        if missing := [finding for finding in _Findings.model_fields if finding not in self.counts]:
            raise ValueError(f"has no count of {missing[0]}")
        groups = chain(*(getattr(self, finding) for finding in _Findings.model_fields))
        named = {number for group in groups for number in group if isinstance(number, int)}
        if missing := [str(number) for number in named if str(number) not in self.where]:
            raise ValueError(f"does not say where entry {missing[0]} is")
        return self


def read_origins(path: Path) -> dict[str, Any]:
    """Read origins.json.

    Raises:
        UserError: it is damaged.
    """
    return read_stored(path, _Origins)


def read_quality(path: Path, *needs: str) -> dict[str, Any]:
    """Read quality.json.

    Args:
        needs: keys that the report does not need.

    Raises:
        UserError: it is damaged or of an earlier version.
    """
    return read_stored(path, _Quality, needs)


def seen_in_training(quality: Mapping[str, Any]) -> list[set[int]]:
    """Return the test entries that also stand in training, those with the same question together.

    Args:
        quality: content of quality.json.

    Returns:
        Groups of places in the test split, from 0.
    """
    return _places(quality, _in_test(quality, quality["test_also_in_train"]))


def repeated_in_test(quality: Mapping[str, Any]) -> list[set[int]]:
    """Return the groups of test entries that ask the same question, as `seen_in_training`."""
    return _places(quality, repeated_numbers(quality))


def repeated_numbers(quality: Mapping[str, Any]) -> list[list[int]]:
    """Return the groups of test entries that ask the same question, by number in the data set."""
    groups = [*quality["conflicting_answers"]]
    conflicting = {number for group in groups for number in group}
    groups += [group for group in quality["duplicates"] if not conflicting.issuperset(group)]
    return [group for group in _in_test(quality, groups) if len(group) > 1]


def _in_test(quality: Mapping[str, Any], groups: Sequence[Sequence[int]]) -> list[list[int]]:
    where = quality["where"]
    return [[n for n in group if where[str(n)]["split"] == "test"] for group in groups]


def _places(quality: Mapping[str, Any], groups: Sequence[Sequence[int]]) -> list[set[int]]:
    return [{quality["where"][str(number)]["index"] for number in group} for group in groups]

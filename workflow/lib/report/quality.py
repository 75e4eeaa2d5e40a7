"""What is doubtful about a data set, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from workflow.lib.files import read_json
from workflow.lib.report.runs import Run
from workflow.lib.report.words import points

_MEANINGS = {
    "duplicates": (
        "Duplicates",
        "Entries whose instruction, input and output all stand more than once.",
    ),
    "conflicting_answers": (
        "Conflicting answers",
        "Entries that ask the same and expect different answers.",
    ),
    "test_also_in_train": (
        "Test entries that also stand in the training split",
        "The model has seen these questions, so their answers measure memory.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One sort of doubt and the groups of entries, numbered from 0 in the whole data set."""

    name: str
    meaning: str
    groups: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Quality:
    """A data set: how many entries each split has, and what is doubtful.

    Args:
        without_seen: variant, judge, mean score and mean score without the test entries that were
            seen in training; nothing if there are none.
    """

    dataset: str
    entries: Mapping[str, int]
    findings: Sequence[Finding]
    without_seen: Sequence[tuple[str, str, str, str]]


def read_quality(dataset: str, path: Path, runs: Sequence[Run]) -> Quality:
    """Read quality.json of a data set.

    Args:
        dataset: its name.
        path: the file.
        runs: variants that were tested on it.
    """
    content = read_json(path)
    findings = [Finding(*_MEANINGS[name], content[name]) for name in _MEANINGS]
    first_test = content["entries"]["train"]
    seen = {n - first_test for group in content["test_also_in_train"] for n in group}
    without = []
    for run in runs:
        for judge, scored in run.judged.items():
            rest = [score for number, score in scored.scores.items() if number not in seen]
            if rest and len(rest) < len(scored.scores):
                mean = points(scored.number("mean"), 2)
                without.append((run.name, judge, mean, points(fmean(rest), 2)))
    return Quality(dataset, content["entries"], findings, without)

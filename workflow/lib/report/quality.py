"""What is doubtful about a data set, and what was cut of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from markupsafe import Markup

from workflow.lib.data.quality.lengths import Histogram, bins, histogram
from workflow.lib.data.quality.truncation import Cut, entries_cut, token_lengths
from workflow.lib.data.quality.wording import Finding, findings, left_out
from workflow.lib.report import charts
from workflow.lib.report.format import points
from workflow.lib.report.runs import Run
from workflow.lib.runtime.files import read_json


@dataclass(frozen=True)
class Quality:
    """A data set: how many entries each split has, and what is doubtful.

    Args:
        left_out: why entries were left out, and their numbers.
        lengths: what was counted, its median and its histogram.
        cut: entries that variants did not keep whole.
        without_seen: variant, judge, mean score and mean score without the test entries that were
            seen in training; nothing if there are none.
    """

    dataset: str
    entries: Mapping[str, int]
    findings: Sequence[Finding]
    left_out: Sequence[tuple[str, list[int]]]
    lengths: Sequence[tuple[str, str, Markup]]
    cut: Sequence[Cut]
    without_seen: Sequence[tuple[str, str, str, str]]


def read_quality(
    dataset: str, path: Path, runs: Sequence[Run], tokens: Sequence[Path] = ()
) -> Quality:
    """Read quality.json of a data set.

    Args:
        dataset: its name.
        path: the file.
        runs: variants that were tested on it.
        tokens: files of token ids, of any data set.
    """
    content = read_json(path)
    places = content["where"]
    seen = {
        places[str(number)]["index"]
        for group in content["test_also_in_train"]
        for number in group
        if places[str(number)]["split"] == "test"
    }
    without = []
    for run in runs:
        for judge, scored in run.judged.items():
            rest = [score for number, score in scored.scores.items() if number not in seen]
            if rest and len(rest) < len(scored.scores):
                mean = points(scored.number("mean"), 2)
                without.append((run.name, judge, mean, points(fmean(rest), 2)))
    counted = {f"{text}, words": content["lengths"][text]["words"] for text in content["lengths"]}
    own = [path for path in tokens if path.parts[-3] == dataset]
    for (tokenizer, prompt), lengths in token_lengths(own).items():
        counted[f"whole entry, tokens of {tokenizer} with {prompt}"] = histogram(lengths)
    return Quality(
        dataset,
        content["entries"],
        findings(content),
        left_out(content),
        [(what, _middle(found), charts.lengths(bins(found))) for what, found in counted.items()],
        [cut for run in runs if (cut := entries_cut(run.name, run.training))],
        without,
    )


def _middle(found: Histogram) -> str:
    return f"median {found['median']:g}, longest {found['longest']:,}"

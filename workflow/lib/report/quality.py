"""The data sets on the page: doubtful entries, truncated entries, lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from markupsafe import Markup

from workflow.lib.data.quality import record as quality_record
from workflow.lib.data.quality.lengths import Histogram, histogram
from workflow.lib.data.quality.wording import Finding, findings, left_out
from workflow.lib.report.format import points
from workflow.lib.report.plots.lengths import draw_lengths
from workflow.lib.report.variants import Variant
from workflow.lib.tokens.truncation import Truncation, token_lengths, truncation_of


@dataclass(frozen=True)
class Quality:
    """The quality of one data set.

    Args:
        entries: number of entries by split.
        left_out: reason and numbers of the entries left out.
        lengths: text that was measured, median and longest in words, histogram.
        cut: entries too long for a variant.
        without_seen: variant, judge, mean score, and mean score without the test entries that
            were seen in training; no rows without such entries.
    """

    dataset: str
    entries: Mapping[str, int]
    findings: Sequence[Finding]
    left_out: Sequence[tuple[str, list[int]]]
    lengths: Sequence[tuple[str, str, Markup]]
    cut: Sequence[Truncation]
    without_seen: Sequence[tuple[str, str, str, str]]


# Findings of quality.json, what most distorts a score first.
_WORST_FIRST = (
    "test_also_in_train", "test_near_train", "repeated_in_test", "test_also_in_val",
    "conflicting_answers", "val_also_in_train", "empty_outputs", "end_of_text", "duplicates",
    "near_duplicates",
)  # fmt: skip


@dataclass(frozen=True)
class Doubt:
    """A row of the table of doubtful entries.

    Args:
        count: of groups or entries, as name and meaning say.
        entries: their numbers, as text.
        places: what the numbers count.
    """

    dataset: str
    name: str
    count: int
    meaning: str
    entries: str
    places: str = "Entry numbers in the data set, from 0"


def doubts(qualities: Sequence[Quality]) -> list[Doubt]:
    """Return the rows of the table of all data sets: the worst first, what was not found last."""
    found: list[tuple[bool, int, Doubt]] = []
    for quality in qualities:
        for finding in quality.findings:
            numbers = "; ".join(finding.named)
            meaning = f"{finding.meaning} {finding.size}".rstrip()
            row = Doubt(quality.dataset, finding.name, finding.count, meaning, numbers)
            found.append((not finding.count, _WORST_FIRST.index(finding.key), row))
        for cut in quality.cut:
            done = "Left out of" if cut.too_long == "drop" else "Truncated in"
            row = Doubt(
                quality.dataset,
                f"{done} {cut.variant}",
                sum(map(len, cut.numbers.values())),
                f"Entries longer than the {cut.max_length} tokens that it keeps.",
                "; ".join(f"{split}: {_listed(n)}" for split, n in cut.numbers.items()),
                "Places in the splits, from 0",
            )
            found.append((False, len(_WORST_FIRST), row))
        for why, left in quality.left_out:
            meaning = "Not used, by the setting checks of the data set."
            row = Doubt(quality.dataset, f"Left out for {why}", len(left), meaning, _listed(left))
            found.append((False, len(_WORST_FIRST) + 1, row))
    return [row for *_, row in sorted(found, key=lambda one: one[:2])]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def read_quality(
    dataset: str, path: Path, variants: Sequence[Variant], tokens: Sequence[Path] = ()
) -> Quality:
    """Read quality.json of a data set.

    Args:
        dataset: its name in config.yaml.
        path: quality.json.
        variants: those tested on it.
        tokens: token files, of any data set.
    """
    content = quality_record.read_quality(path)
    seen = set().union(*quality_record.seen_in_training(content))
    without = []
    for variant in variants:
        for judge, judging in variant.judged.items():
            rest = [score for number, score in judging.scores.items() if number not in seen]
            if rest and len(rest) < len(judging.scores):
                mean = points(judging.number("mean"), 2)
                without.append((variant.short, judge, mean, points(fmean(rest), 2)))
    counted = {f"{text}, words": content["lengths"][text]["words"] for text in content["lengths"]}
    own = [path for path in tokens if path.parts[-3] == dataset]
    for (tokenizer, prompt), lengths in token_lengths(own).items():
        counted[f"whole entry, tokens of {tokenizer} with {prompt}"] = histogram(lengths)
    return Quality(
        dataset,
        content["entries"],
        findings(content),
        left_out(content),
        [(what, _summary(found), draw_lengths(found)) for what, found in counted.items()],
        [cut for v in variants if (cut := truncation_of(v.short, v.training))],
        without,
    )


def _summary(found: Histogram) -> str:
    return f"median {found['median']:g}, longest {found['longest']:,}"

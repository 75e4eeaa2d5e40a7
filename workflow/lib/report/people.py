"""How far raters agree with each other, and each other judge with them on the same answers.

Of raters who say which of two answers is better, it is how far they agree with each other.

The estimate of what people would say about all entries is that of prediction-powered inference
(Angelopoulos et al. 2023, Science 382, 669): the judge's mean over the entries that nobody rated,
corrected by its mean error on those that were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import krippendorff
import numpy as np
from scipy import stats

from workflow.lib.judge.wins import VALUES, read_wins, wins_by_entry
from workflow.lib.report.statistics import (
    CONFIDENCE,
    FEWEST_FOR_INTERVAL,
    Interval,
    mean_interval,
)
from workflow.lib.report.variants import Variant

_Answer = tuple[tuple[str, str, str], str]  # the test entry, and the digest of the response


@dataclass(frozen=True)
class Corrected:
    """The mean score that people would give a variant, by their ratings and another judge.

    Args:
        rated: number of entries that both scored.
        unrated: number of entries that the judge alone scored.
        mean, interval: None where there are too few of either.
    """

    variant: Variant
    rated: int
    unrated: int
    mean: float | None
    interval: Interval | None


@dataclass(frozen=True)
class WithPeople:
    """A judge compared with people on the answers that both scored, each different one once.

    Args:
        correlation, interval: Pearson's, and its 95% interval; None for too few or equal scores.
        difference, difference_interval: mean of judge minus people, in points.
    """

    judge: str
    answers: int
    correlation: float | None
    interval: Interval | None
    difference: float | None
    difference_interval: Interval | None
    corrected: Sequence[Corrected]


@dataclass(frozen=True)
class Raters:
    """A judge whose scores or verdicts are ratings.

    Args:
        level: of measurement: interval of scores, ordinal of verdicts on two answers.
        answers: number of different answers, or pairs, that are rated.
        several: number of those that at least two raters rated.
        alpha: Krippendorff's alpha of the raters; None where it cannot be computed.
        judges: other judges that score, compared with those who score.
    """

    name: str
    level: Literal["interval", "ordinal"]
    raters: int
    answers: int
    several: int
    alpha: float | None
    judges: Sequence[WithPeople]


def compare_with_people(
    variants: Sequence[Variant], judges: Sequence[str], people: Sequence[str]
) -> list[Raters]:
    """Compare raters with each other and with every judge that is none of them.

    Args:
        variants: all runs.
        judges: names of the judges that score.
        people: those of them whose scores are ratings.
    """
    found = []
    for name in people:
        ratings = _ratings(variants, name)
        others = [judge for judge in judges if judge not in people]
        compared = [_with_people(variants, judge, name) for judge in others]
        found.append(_raters(name, "interval", [*ratings.values()], compared))
    return found


def compare_pair_raters(
    variants: Sequence[Variant], people: Sequence[str], results: Path
) -> list[Raters]:
    """Compare raters who say which of two answers is better with each other.

    Args:
        variants: all runs.
        people: names of the pairwise judges whose verdicts are ratings.
        results: folder of the variants' folders.
    """
    return [
        _raters(name, "ordinal", [*_preferences(variants, name, results).values()], [])
        for name in people
    ]


def _preferences(
    variants: Sequence[Variant], judge: str, results: Path
) -> Mapping[tuple[_Answer, str], list[float]]:
    """Return what all raters say by pair: 1 for a win of the variant, 0 for a loss, 0.5 for a tie.

    NaN where a pair is not rated, or nobody was asked because both texts are the same.
    """
    found: dict[tuple[_Answer, str], list[float]] = {}
    for variant in variants:
        wins = read_wins(results / variant.model / variant.recipe / judge / "wins.csv")
        if wins[0].baseline == f"{variant.model}/{variant.recipe}":
            continue
        for entry, repeats in wins_by_entry(wins).items():
            answer = variant.test_set[entry], repeats[0].response_sha256
            found[answer, repeats[0].baseline_sha256] = [
                VALUES.get(win.verdict_first or win.verdict_second, np.nan) for win in repeats
            ]
    return found


def _raters(
    name: str,
    level: Literal["interval", "ordinal"],
    rated: Sequence[Sequence[float]],
    judges: Sequence[WithPeople],
) -> Raters:
    """Return raters with their agreement.

    Args:
        rated: for each answer what each rater says, NaN where it is not rated.
    """
    table = np.array(rated, dtype=float).T  # raters by answers
    counts = (~np.isnan(table)).sum(axis=0) if rated else np.zeros(0)
    one, several = int((counts > 0).sum()), int((counts > 1).sum())
    return Raters(name, level, len(table), one, several, _alpha(table, level), judges)


def _ratings(variants: Sequence[Variant], judge: str) -> Mapping[_Answer, list[float]]:
    """Return the scores of all raters by answer."""
    return {
        (variant.test_set[entry], verdicts[0].response_sha256): [
            np.nan if verdict.score is None else verdict.score for verdict in verdicts
        ]
        for variant in variants
        for entry, verdicts in variant.judged[judge].verdicts.items()
    }


def _alpha(table: np.ndarray, level: Literal["interval", "ordinal"]) -> float | None:
    pairable = table[:, (~np.isnan(table)).sum(axis=0) > 1] if table.ndim == 2 else np.zeros((0, 0))
    if pairable.size == 0 or np.nanmin(pairable) == np.nanmax(pairable):
        return None  # nobody to agree with, or no differences that agreement could explain
    return float(krippendorff.alpha(pairable, level_of_measurement=level))


def _with_people(variants: Sequence[Variant], judge: str, people: str) -> WithPeople:
    both: dict[_Answer, tuple[float, float]] = {}
    for variant in variants:
        rated, judged = variant.judged[people], variant.judged[judge]
        for entry in rated.scores.keys() & judged.scores.keys():
            answer = variant.test_set[entry], rated.verdicts[entry][0].response_sha256
            both[answer] = judged.scores[entry], rated.scores[entry]
    ordered = np.array([both[answer] for answer in sorted(both)], dtype=float).reshape(-1, 2)
    one, other = ordered[:, 0], ordered[:, 1]
    correlation, interval = None, None
    if len(one) >= FEWEST_FOR_INTERVAL and np.ptp(one) and np.ptp(other):
        result = stats.pearsonr(one, other)
        low, high = result.confidence_interval(CONFIDENCE)
        correlation, interval = float(result.statistic), Interval(float(low), float(high))
    return WithPeople(
        judge,
        len(one),
        correlation,
        interval,
        float((one - other).mean()) if len(one) else None,
        mean_interval(one - other),
        [_corrected(variant, judge, people) for variant in variants],
    )


def _corrected(variant: Variant, judge: str, people: str) -> Corrected:
    rated, judged = variant.judged[people].scores, variant.judged[judge].scores
    errors = np.array([rated[n] - judged[n] for n in sorted(rated.keys() & judged.keys())])
    others = np.array([judged[n] for n in sorted(judged.keys() - rated.keys())])
    mean, interval = None, None
    if min(len(errors), len(others)) >= FEWEST_FOR_INTERVAL:
        estimate = float(others.mean() + errors.mean())
        error = (others.var(ddof=1) / len(others) + errors.var(ddof=1) / len(errors)) ** 0.5
        half = float(stats.norm.ppf((1 + CONFIDENCE) / 2) * error)
        # No mean is beyond the scale, so cutting there loses no coverage.
        mean, low, high = (
            min(100.0, max(0.0, value)) for value in (estimate, estimate - half, estimate + half)
        )
        interval = Interval(low, high)
    return Corrected(variant, len(errors), len(others), mean, interval)

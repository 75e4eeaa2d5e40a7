"""How far raters agree with each other, and each other judge with them on the same answers.

The estimate of what people would say about all entries is that of prediction-powered inference
(Angelopoulos et al. 2023, Science 382, 669): the judge's mean over the entries that nobody rated,
corrected by its mean error on those that were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np
from scipy import stats

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
    """A judge whose scores are ratings.

    Args:
        several: number of answers that at least two raters rated.
        alpha: Krippendorff's alpha of the raters at the interval level; None where it cannot be
            computed.
    """

    name: str
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
        table = np.array([*ratings.values()], dtype=float).T  # raters by answers, NaN: not rated
        counts = (~np.isnan(table)).sum(axis=0) if ratings else np.zeros(0)
        found.append(
            Raters(
                name,
                len(table),
                int((counts > 0).sum()),
                int((counts > 1).sum()),
                _alpha(table),
                [_with_people(variants, judge, name) for judge in judges if judge not in people],
            )
        )
    return found


def _ratings(variants: Sequence[Variant], judge: str) -> Mapping[_Answer, list[float]]:
    """Return the scores of all raters by answer."""
    return {
        (variant.test_set[entry], verdicts[0].response_sha256): [
            np.nan if verdict.score is None else verdict.score for verdict in verdicts
        ]
        for variant in variants
        for entry, verdicts in variant.judged[judge].verdicts.items()
    }


def _alpha(table: np.ndarray) -> float | None:
    pairable = table[:, (~np.isnan(table)).sum(axis=0) > 1] if table.ndim == 2 else np.zeros((0, 0))
    if pairable.size == 0 or np.nanmin(pairable) == np.nanmax(pairable):
        return None  # nobody to agree with, or no differences that agreement could explain
    return float(krippendorff.alpha(pairable, level_of_measurement="interval"))


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

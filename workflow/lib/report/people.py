"""How far raters agree with each other, and each other judge with them on the same answers.

The estimate of what people would say about all entries is that of prediction-powered inference
(Angelopoulos et al. 2023, Science 382, 669): the judge's mean over the entries that nobody rated,
corrected by its mean error on those that were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

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

Answer = tuple[tuple[str, str, str], str]  # the test entry, and the digest of the response


@dataclass(frozen=True)
class Corrected:
    """The mean score or win rate that people would give a variant, by them and another judge.

    Args:
        rated: number of entries that both judged.
        unrated: number of entries that the judge alone judged.
        judged: what the judge alone gives the variant; None if it judged no entry.
        mean, interval: None where there are too few of either.
    """

    variant: Variant
    rated: int
    unrated: int
    judged: float | None
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
class PairsWithPeople:
    """A pairwise judge compared with people on the pairs that both compared, each once.

    Args:
        agreement: share of the pairs, in percent, on which both say the same; a tie and a win, or
            a tie and a loss, are half an agreement. None without a pair.
        interval: its 95% interval; None for too few.
        alpha: Krippendorff's alpha of the judge and each rater, on the ordinal level; None where
            it cannot be computed.
    """

    judge: str
    pairs: int
    agreement: float | None
    interval: Interval | None
    alpha: float | None
    corrected: Sequence[Corrected]


@dataclass(frozen=True)
class Raters:
    """A judge whose scores or verdicts are ratings.

    Args:
        level: of measurement: interval of scores, ordinal of verdicts on two answers.
        answers: number of different answers, or pairs, that are rated.
        several: number of those that at least two raters rated.
        alpha: Krippendorff's alpha of the raters; None where it cannot be computed.
        judges: the other judges of the same kind, compared with them.
    """

    name: str
    level: Literal["interval", "ordinal"]
    raters: int
    answers: int
    several: int
    alpha: float | None
    judges: Sequence[WithPeople] | Sequence[PairsWithPeople]


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
        found.append(raters_of(name, "interval", [*ratings.values()], compared))
    return found


def raters_of(
    name: str,
    level: Literal["interval", "ordinal"],
    rated: Sequence[Sequence[float]],
    judges: Sequence[WithPeople] | Sequence[PairsWithPeople],
) -> Raters:
    """Return raters with their agreement.

    Args:
        rated: for each answer what each rater says, NaN where it is not rated.
    """
    table = np.array(rated, dtype=float).T  # raters by answers
    counts = (~np.isnan(table)).sum(axis=0) if rated else np.zeros(0)
    one, several = int((counts > 0).sum()), int((counts > 1).sum())
    return Raters(name, level, len(table), one, several, alpha_of(table, level), judges)


def _ratings(variants: Sequence[Variant], judge: str) -> Mapping[Answer, list[float]]:
    """Return the scores of all raters by answer."""
    return {
        (variant.test_set[entry], verdicts[0].response_sha256): [
            np.nan if verdict.score is None else verdict.score for verdict in verdicts
        ]
        for variant in variants
        for entry, verdicts in variant.judged[judge].verdicts.items()
    }


def alpha_of(table: np.ndarray, level: Literal["interval", "ordinal"]) -> float | None:
    """Return Krippendorff's alpha of a table of raters by answers, NaN where one is not rated."""
    pairable = table[:, (~np.isnan(table)).sum(axis=0) > 1] if table.ndim == 2 else np.zeros((0, 0))
    if pairable.size == 0 or np.nanmin(pairable) == np.nanmax(pairable):
        return None  # nobody to agree with, or no differences that agreement could explain
    return float(krippendorff.alpha(pairable, level_of_measurement=level))


def _with_people(variants: Sequence[Variant], judge: str, people: str) -> WithPeople:
    both: dict[Answer, tuple[float, float]] = {}
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
    return corrected(variant, variant.judged[people].scores, variant.judged[judge].scores)


def corrected(
    variant: Variant,
    rated: Mapping[int, float],
    judged: Mapping[int, float],
    known: Sequence[float] = (),
) -> Corrected:
    """Estimate what people would give a variant.

    Args:
        rated, judged: from 0 to 100 by entry, by people and by the judge.
        known: what both give to all other entries, without being asked.
    """
    errors = np.array([rated[n] - judged[n] for n in sorted(rated.keys() & judged.keys())])
    others = np.array([judged[n] for n in sorted(judged.keys() - rated.keys())])
    mean, interval = None, None
    if min(len(errors), len(others)) >= FEWEST_FOR_INTERVAL:
        estimate = float(others.mean() + errors.mean())
        variance = others.var(ddof=1) / len(others) + errors.var(ddof=1) / len(errors)
        if known:  # a stratum of its own, whose share in other test sets varies, too
            count = len(judged) + len(known)
            share, constant = len(known) / count, fmean(known)
            between = share * (1 - share) * (estimate - constant) ** 2 / count
            estimate = share * constant + (1 - share) * estimate
            variance = (1 - share) ** 2 * variance + between
        half = float(stats.norm.ppf((1 + CONFIDENCE) / 2) * variance**0.5)
        # No mean is beyond the scale, so cutting there loses no coverage.
        mean, low, high = (
            min(100.0, max(0.0, value)) for value in (estimate, estimate - half, estimate + half)
        )
        interval = Interval(low, high)
    all_judged = [*judged.values(), *known]
    alone = fmean(all_judged) if all_judged else None
    return Corrected(variant, len(errors), len(others), alone, mean, interval)

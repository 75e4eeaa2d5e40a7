"""Statistics of scores: intervals of means, corrected p-values and agreement of judges.

Resampling is seeded: the same scores give the same figures.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FEWEST_FOR_INTERVAL = 10  # entries; fewer are too few to resample
CONFIDENCE = 0.95
_RESAMPLES = 9999
_BATCH = 500  # resamples in memory at a time: some 20 MB for 5,000 entries
_SEED = 123


@dataclass(frozen=True)
class Interval:
    """A 95% confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Two judges compared; a correlation is None where one of them never varies.

    Args:
        entries: number of responses scored by both.
        mean_absolute_error: in points.
        bias: mean of first minus second, in points.
    """

    entries: int
    pearson: float | None
    spearman: float | None
    kendall: float | None
    mean_absolute_error: float
    bias: float


def mean_interval(values: ArrayLike) -> Interval | None:
    """Return the 95% interval of a mean by the BCa bootstrap.

    Args:
        values: (N,), a score or difference for each entry.

    Returns:
        None with fewer than ten values, and where all are equal: resampling equal values says
        nothing about other entries.
    """
    sample = np.asarray(values, dtype=float)
    if len(sample) < FEWEST_FOR_INTERVAL or np.ptp(sample) == 0:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of values that differ only by rounding
        low, high = stats.bootstrap(
            (sample,),
            np.mean,
            n_resamples=_RESAMPLES,
            batch=_BATCH,
            confidence_level=CONFIDENCE,
            method="BCa",
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
    return Interval(float(low), float(high)) if np.isfinite([low, high]).all() else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple comparisons by Holm's method.

    Args:
        p_values: of one family of comparisons, in any order.

    Returns:
        corrected p-values in the same order.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[number] * (len(p_values) - rank)))
        corrected[number] = largest
    return corrected


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement | None:
    """Measure how well the scores of two judges agree.

    Args:
        first, second: scores of the same responses in the same order.

    Returns:
        None if there are no responses.
    """
    if not len(first):
        return None
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return Agreement(
        entries=len(one),
        pearson=_correlation(stats.pearsonr, one, other),
        spearman=rank_correlation(one, other),
        kendall=_correlation(stats.kendalltau, one, other),
        mean_absolute_error=float(np.abs(one - other).mean()),
        bias=float((one - other).mean()),
    )


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return Spearman's correlation, None for fewer than three values or a constant side."""
    return _correlation(
        stats.spearmanr, np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    )


def _correlation(
    function: Callable[..., Any], one: NDArray[np.float64], other: NDArray[np.float64]
) -> float | None:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(function(one, other).statistic)

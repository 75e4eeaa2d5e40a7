"""Means and differences of scores, with the luck of both the test entries and the seeds.

A recipe may be run with several seeds. Its runs answer the same entries, so a score has two
crossed random factors, entry and seed, as subjects and items have in psycholinguistics (Clark,
"The language-as-fixed-effect fallacy", 1973). Their variance components are estimated by analysis
of variance, and their sum has the degrees of freedom of Satterthwaite ("An approximate
distribution of estimates of variance components", 1946). Interval and p-value both come from this
one t distribution, so they never contradict each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy import special

from workflow.lib.report.statistics import CONFIDENCE, FEWEST_FOR_INTERVAL, Interval

MARGIN = 5.0  # points; smaller differences of an entry count as a tie

Runs = Sequence[Mapping[int, float]]  # of each run, the score of each scored entry by its number
_Component = tuple[float, float]  # a term of a variance and its degrees of freedom


@dataclass(frozen=True)
class Comparison:
    """The first variant compared with the second, on entries that every run has a score for.

    Args:
        entries: number of these entries.
        difference: mean of first minus second, in points.
        interval: 95% interval of this difference; None where it has no p-value.
        p_value: two-sided; None with fewer than ten entries, and where every entry differs by the
            same: neither says anything about other entries.
        runs: number of runs of each variant.
        covers_seeds: whether interval and p-value cover the choice of seeds, too.
        wins, ties, losses: entries on which the first is better, within MARGIN, or worse.
    """

    entries: int
    difference: float
    interval: Interval | None
    p_value: float | None
    runs: tuple[int, int]
    covers_seeds: bool
    wins: int
    ties: int
    losses: int


def compare(
    first: Runs, second: Runs, seedless: tuple[bool, bool] = (False, False)
) -> Comparison | None:
    """Compare two variants, entry by entry.

    A variant with a single run borrows the variance between seeds from the other one.

    Args:
        first, second: scores of the runs of each variant.
        seedless: for each variant, whether no seed changes it, as before finetuning.

    Returns:
        None if no entry has a score in every run.
    """
    shared = _shared([*first, *second])
    if not shared:
        return None
    tables = [_table(runs, shared) for runs in (first, second)]
    differences = tables[0].mean(0) - tables[1].mean(0)
    between = [_between_seeds(table) for table in tables]
    known = [each for each in between if each]
    components = [_between_entries(differences)]
    for own, table, fixed in zip(between, tables, seedless, strict=True):
        if not fixed and known:
            components += _of_mean(own or known[0], len(table))
    interval, p_value = _t_test(float(differences.mean()), components, len(shared))
    return Comparison(
        entries=len(shared),
        difference=float(differences.mean()),
        interval=interval,
        p_value=p_value,
        runs=(len(first), len(second)),
        covers_seeds=bool(known) or all(seedless),
        wins=int((differences >= MARGIN).sum()),
        ties=int((np.abs(differences) < MARGIN).sum()),
        losses=int((differences <= -MARGIN).sum()),
    )


def interval_of_runs(runs: Runs) -> Interval | None:
    """Return the 95% interval of the mean score of a variant, over entries and seeds.

    Args:
        runs: scores of at least two runs.

    Returns:
        Within 0 to 100; None with fewer than ten entries, and where all scores are equal.
    """
    shared = _shared(runs)
    if not shared:
        return None
    table = _table(runs, shared)
    between = _between_seeds(table)
    components = [
        _between_entries(table.mean(0)),
        *(_of_mean(between, len(runs)) if between else ()),
    ]
    interval, _ = _t_test(float(table.mean()), components, len(shared))
    return interval and Interval(max(0.0, interval.low), min(100.0, interval.high))


def mean_of_runs(runs: Runs) -> dict[int, float]:
    """Return the mean score of every entry that has one in all runs."""
    return {entry: fmean(scores[entry] for scores in runs) for entry in _shared(runs)}


def spread_of_runs(runs: Runs) -> float | None:
    """Return the standard deviation of the runs' mean scores; None for a single run."""
    means = [float(np.mean([*scores.values()])) for scores in runs if scores]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def _shared(runs: Runs) -> list[int]:
    return sorted(set.intersection(*(set(scores) for scores in runs)))


def _table(runs: Runs, entries: Sequence[int]) -> NDArray[np.float64]:
    """Return the scores as an array of shape (runs, entries)."""
    return np.array([[scores[entry] for entry in entries] for scores in runs], dtype=float)


def _between_entries(values: NDArray[np.float64]) -> _Component:
    """Return the variance of a mean over entries."""
    count = len(values)
    return (float(values.var(ddof=1)) / count, count - 1) if count > 1 else (0.0, 1)


@dataclass(frozen=True)
class _Seeds:
    """The mean square between the means of runs, and the part of it that entries explain."""

    total: _Component
    from_entries: _Component


def _between_seeds(table: NDArray[np.float64]) -> _Seeds | None:
    """Measure how far the means of runs differ; None for a single run or a single entry."""
    runs, entries = table.shape
    if runs < 2 or entries < 2:
        return None
    means = table.mean(1, keepdims=True)
    residuals = table - table.mean(0) - means + table.mean()
    freedom = (runs - 1) * (entries - 1)
    return _Seeds(
        (float(means.var(ddof=1)), runs - 1),
        (float((residuals**2).sum()) / freedom / entries, freedom),
    )


def _of_mean(between: _Seeds, runs: int) -> list[_Component]:
    """Return what the seeds add to the variance of a mean over runs; nothing if that is below 0.

    How much entries move from run to run is part of the variance between entries already.
    """
    (total, total_freedom), (entries, entries_freedom) = between.total, between.from_entries
    if total <= entries:
        return []
    return [(total / runs, total_freedom), (-entries / runs, entries_freedom)]


def _t_test(
    estimate: float, components: Sequence[_Component], entries: int
) -> tuple[Interval | None, float | None]:
    """Return the interval of an estimate, and the p-value of its being 0.

    Args:
        components: terms of its variance with their degrees of freedom.
        entries: number of entries; fewer than ten are too few for either.
    """
    variance = sum(term for term, _ in components)
    if entries < FEWEST_FOR_INTERVAL or variance <= 1e-12:
        return None, None
    freedom = variance**2 / sum(term**2 / own for term, own in components)
    error = variance**0.5
    # What stats.t.interval and stats.t.sf compute, without checks that take most of the time of
    # comparing every two of many variants.
    low, high = (
        special.stdtrit(freedom, share) * error + estimate
        for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    )
    p_value = 2 * special.stdtr(freedom, -abs(estimate) / error)
    return Interval(float(low), float(high)), float(p_value)

"""How far people who say which of two answers is better agree, and pairwise judges with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy import stats

from workflow.lib.judge.rows import by_entry
from workflow.lib.judge.wins import VALUES, Win, read_wins
from workflow.lib.report.people import (
    Answer,
    Corrected,
    PairsWithPeople,
    Raters,
    alpha_of,
    corrected,
    raters_of,
)
from workflow.lib.report.statistics import CONFIDENCE, FEWEST_FOR_INTERVAL, Interval, mean_interval
from workflow.lib.report.variants import Variant

_Pair = tuple[Answer, str]  # the variant's answer, and the digest of the baseline's
_Table = Mapping[int, Sequence[Win]]  # wins.csv of one judge about one variant, by entry


def compare_pair_raters(
    variants: Sequence[Variant], judges: Sequence[str], people: Sequence[str], results: Path
) -> list[Raters]:
    """Compare raters of pairs with each other and with every pairwise judge that is none of them.

    Args:
        variants: all runs.
        judges: names of the pairwise judges.
        people: those of them whose verdicts are ratings.
        results: folder of the variants' folders.
    """
    if not people:
        return []
    tables = {
        judge: [
            by_entry(read_wins(results / variant.model / variant.recipe / judge / "wins.csv"))
            for variant in variants
        ]
        for judge in judges
    }
    found = []
    for name in people:
        ratings = {
            _pair(variant, entry, repeats): _ratings(repeats)
            for variant, table in zip(variants, tables[name], strict=True)
            if not _is_baseline(table)
            for entry, repeats in table.items()
        }
        compared = []
        for judge in (judge for judge in judges if judge not in people):
            both = [
                (variant, rated, judged)
                for variant, rated, judged in zip(
                    variants, tables[name], tables[judge], strict=True
                )
                if not _is_baseline(rated) and _baseline(rated) == _baseline(judged)
            ]
            if both:
                compared.append(_with_people(judge, both))
        found.append(raters_of(name, "ordinal", [*ratings.values()], compared))
    return found


def _pair(variant: Variant, entry: int, repeats: Sequence[Win]) -> _Pair:
    """Return what is compared: the same for all variants that answer alike."""
    return (variant.test_set[entry], repeats[0].response_sha256), repeats[0].baseline_sha256


def _baseline(table: _Table) -> str:
    return table[0][0].baseline


def _is_baseline(table: _Table) -> bool:
    return _baseline(table) == f"{table[0][0].model}/{table[0][0].recipe}"


def _ratings(repeats: Sequence[Win]) -> list[float]:
    """Return what each rater says: 1 for a win of the variant, 0 for a loss, 0.5 for a tie.

    NaN where a pair is not rated, or nobody was asked because both texts are the same.
    """
    return [VALUES.get(win.verdict_first or win.verdict_second, np.nan) for win in repeats]


def _outcomes(table: _Table) -> dict[int, float]:
    """Return the share of a win of each entry that was judged, in percent."""
    return {
        entry: 100 * fmean(won)
        for entry, repeats in table.items()
        if (
            won := [
                win.outcome for win in repeats if win.status == "judged" and win.outcome is not None
            ]
        )
    }


def _with_people(judge: str, both: Sequence[tuple[Variant, _Table, _Table]]) -> PairsWithPeople:
    """Compare a judge with people.

    Args:
        both: each variant with the tables of people and of the judge.
    """
    pairs: dict[_Pair, tuple[float, list[float]]] = {}
    estimates: list[Corrected] = []
    for variant, rated, judged in both:
        of_people, of_judge = _outcomes(rated), _outcomes(judged)
        for entry in of_people.keys() & of_judge.keys():
            ratings = [rating for rating in _ratings(rated[entry]) if not np.isnan(rating)]
            pairs[_pair(variant, entry, rated[entry])] = of_judge[entry] / 100, ratings
        known = [50.0 for repeats in judged.values() if repeats[0].status == "same"]
        estimates.append(corrected(variant, of_people, of_judge, known))
    said = [pairs[pair] for pair in sorted(pairs)]
    shares = [100 * (1 - fmean(abs(own - each) for each in ratings)) for own, ratings in said]
    verdicts = [(own, each) for own, ratings in said for each in ratings]
    return PairsWithPeople(
        judge,
        len(said),
        fmean(shares) if shares else None,
        _interval(shares),
        alpha_of(np.array(verdicts, dtype=float).T, "ordinal"),
        estimates,
    )


def _interval(shares: Sequence[float]) -> Interval | None:
    """Return the 95% interval of a mean share; the exact binomial one where it is 0 or 100.

    Resampling pairs that are all alike says nothing about others.
    """
    count = len(shares)
    if count >= FEWEST_FOR_INTERVAL and {*shares} in ({0.0}, {100.0}):
        agreed = sum(share == 100 for share in shares)
        low, high = stats.binomtest(agreed, count).proportion_ci(CONFIDENCE)
        return Interval(100 * float(low), 100 * float(high))
    return mean_interval(shares)

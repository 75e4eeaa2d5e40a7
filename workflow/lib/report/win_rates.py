"""The win rate of a variant against a baseline, by one pairwise judge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from workflow.lib.judge.wins import STATUSES, Win, pair_status, wins_by_entry
from workflow.lib.report.length_controlled import length_controlled
from workflow.lib.report.replicates import compare, interval_of_runs, mean_of_runs
from workflow.lib.report.statistics import Interval

_FIRST_PLACE = {"win": 100.0, "tie": 50.0, "loss": 0.0}  # of the variant's verdict, where it stood


@dataclass(frozen=True)
class WinRate:
    """How often a variant is preferred to a baseline, in percent of the entries.

    An entry that was compared several times counts once, with the mean of its outcomes; half a win
    is a verdict that changed with the order, or a tie. All rates are of entries with a verdict in
    every run.

    Args:
        baseline: its name, without the seed if it has several runs.
        is_baseline: whether the variant is the baseline itself, about which nothing was asked.
        entries: number of test entries, over all runs.
        statuses: number of these entries by status, as in wins.csv.
        wins, ties, losses, disagreements: number of comparisons, over all runs; disagreements are
            verdicts that changed with the order, ties those that are a tie in both.
        one_order: whether each pair was judged in one order alone, as by people.
        asked_again: number of questions asked once more.
        rate: the win rate; None without a verdict.
        interval: its 95% interval, over entries and, with several, seeds; None where there is none.
        p_value: two-sided, of a win rate of 50%, from the same distribution as the interval.
        covers_seeds: whether both cover the choice of seeds, too.
        controlled: the length-controlled win rate; None where there is none.
        controlled_interval: its 95% interval.
        uncontrolled: why there is none, as a clause; empty where there is one.
        extrapolated: whether all responses are longer, or all shorter, than the baseline's.
        first: share of the verdicts for the response that stood first, a tie counting half.
        first_interval: its 95% interval.
    """

    baseline: str
    is_baseline: bool
    entries: int
    statuses: Mapping[str, int]
    wins: int
    ties: int
    losses: int
    disagreements: int
    one_order: bool
    asked_again: int
    rate: float | None
    interval: Interval | None
    p_value: float | None
    covers_seeds: bool
    controlled: float | None
    controlled_interval: Interval | None
    uncontrolled: str
    extrapolated: bool
    first: float | None
    first_interval: Interval | None


def win_rate(runs: Sequence[Sequence[Win]], seedless: bool = False) -> WinRate:
    """Return the win rate of a variant.

    Args:
        runs: rows of wins.csv of each of its runs.
        seedless: whether no seed changes the variant, as before finetuning.
    """
    rows = [win for run in runs for win in run]
    by_run = [wins_by_entry(run) for run in runs]
    statuses = [pair_status(repeats) for entries in by_run for repeats in entries.values()]
    outcomes = [
        {
            entry: 100 * fmean(won)
            for entry, repeats in entries.items()
            if (won := [win.outcome for win in repeats if win.outcome is not None])
        }
        for entries in by_run
    ]
    even = dict.fromkeys(range(len(rows)), 50.0)
    result = compare(outcomes, [even], (seedless, True))
    controlled = [
        length_controlled(
            [won / 100 for won in of.values()],
            [entries[n][0].response_tokens - entries[n][0].baseline_tokens for n in of],
        )
        for of, entries in zip(outcomes, by_run, strict=True)
    ]
    why = next((each for each in controlled if isinstance(each, str)), "")
    values = [
        dict(zip(of, each.values.tolist(), strict=True))
        for of, each in zip(outcomes, controlled, strict=True)
        if not isinstance(each, str)
    ]
    signs = [win.response_tokens - win.baseline_tokens for win in rows]
    first = [_first_places(entries) for entries in by_run]
    shares = mean_of_runs(first).values()
    orders = {bool(w.verdict_first) + bool(w.verdict_second) for w in rows if w.status == "judged"}
    return WinRate(
        baseline=re.sub(r",seed=\d+$", "", rows[0].baseline) if len(runs) > 1 else rows[0].baseline,
        is_baseline=all(win.baseline == f"{win.model}/{win.recipe}" for win in rows),
        entries=len(statuses),
        statuses={status: statuses.count(status) for status in STATUSES},
        wins=sum(win.outcome == 1 for win in rows),
        ties=sum(win.outcome == 0.5 and not win.disagrees for win in rows),
        losses=sum(win.outcome == 0 for win in rows),
        disagreements=sum(win.disagrees for win in rows),
        one_order=orders == {1},
        asked_again=sum(win.asked_again for win in rows),
        rate=50 + result.difference if result else None,
        interval=_around_even(result.interval if result else None),
        p_value=result.p_value if result else None,
        covers_seeds=bool(result and result.covers_seeds),
        controlled=None if why else fmean(mean_of_runs(values).values()),
        controlled_interval=None if why else interval_of_runs(values),
        uncontrolled=why,
        extrapolated=bool(signs) and (min(signs) > 0 or max(signs) < 0),
        first=fmean(shares) if shares else None,
        first_interval=interval_of_runs(first),
    )


def _around_even(interval: Interval | None) -> Interval | None:
    """Return the interval of a difference from 50 as that of the rate itself."""
    return interval and Interval(max(0.0, 50 + interval.low), min(100.0, 50 + interval.high))


def _first_places(entries: Mapping[int, Sequence[Win]]) -> dict[int, float]:
    """Return of each entry the share of verdicts for the response that stood first, in percent."""
    found = {}
    for entry, repeats in entries.items():
        places = [_FIRST_PLACE[win.verdict_first] for win in repeats if win.verdict_first]
        places += [100 - _FIRST_PLACE[win.verdict_second] for win in repeats if win.verdict_second]
        if places:
            found[entry] = fmean(places)
    return found

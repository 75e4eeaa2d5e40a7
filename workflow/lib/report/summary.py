"""summary.csv, a row per variant and judge."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from workflow.lib.data.quality.record import read_quality, repeated_in_test, seen_in_training
from workflow.lib.generation.record import read_cut_off
from workflow.lib.judge.rows import by_entry
from workflow.lib.judge.scores import (
    STATUSES,
    Verdict,
    entry_scores,
    entry_status,
    read_scores,
)
from workflow.lib.judge.usage import read_usage
from workflow.lib.model.record import read_training
from workflow.lib.report.losses import read_losses
from workflow.lib.report.replicates import interval_of_runs, spread_of_runs
from workflow.lib.report.settings import differences, flat
from workflow.lib.report.statistics import mean_interval
from workflow.lib.report.summary_rows import WIN_COLUMNS, as_text, effort
from workflow.lib.report.win_summary import win_rows
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv

_NEEDED = ("seconds", "training.epochs", "initial_losses", "device", "versions")  # of training.json
GOOD_SCORE = 50  # of 100: at least half right


def summarize(
    tables: Sequence[Path],
    recipes: Mapping[str, Mapping[str, Any]],
    qualities: Mapping[str, Path],
    output: Path,
    wins: Sequence[Path] = (),
) -> None:
    """Write summary.csv: a row for each variant and judge, so judges are never mixed.

    An entry that was judged several times counts once, with the mean of its scores. A variant
    with several seeds has a row that sums up its runs, and below it one for each run.

    Args:
        tables: files results/{model}/{run}/{judge}/scores.csv, in the order of the rows, with
            usage.json beside them, and training.json, losses.csv and, if there is one,
            generation.json in the folder above.
        recipes: for each variant of a recipe `runs`, the names of its runs, `dataset` and
            `settings`.
        qualities: quality.json by data set.
        output: CSV file to write; the same bytes from the same files.
        wins: files results/{model}/{run}/{judge}/wins.csv, which add rows, and columns for them.

    Raises:
        UserError: a table has other columns than a scores.csv or no rows.
    """
    apart = differences({variant: recipe["settings"] for variant, recipe in recipes.items()})
    columns = {variant: flat(recipe["settings"]) for variant, recipe in recipes.items()}
    keys = dict.fromkeys(
        key
        for own in columns.values()
        for key in own
        if not key.endswith(".seed")  # see `seeds`
    )
    trained = cache(_read_training)  # once for all judges of a run
    variant_of = {run: variant for variant, of in recipes.items() for run in of["runs"]}
    judged: dict[tuple[str, str, str], list[_Run]] = {}
    for table in tables:
        verdicts = read_scores(table)
        if not verdicts:
            raise UserError(f"{table}: has no rows; delete it and run again")
        if verdicts[0].recipe not in variant_of:
            raise UserError(
                f"{table}: is of recipe {verdicts[0].recipe!r}, which is none of those compared; "
                "delete it and run again"
            )
        training, losses = trained(table.parent.parent)
        usage = read_usage(table.parent / "usage.json")
        count = len({verdict.entry for verdict in verdicts})
        cut_off = read_cut_off(table.parent.parent / "responses.json", count)
        run = _Run(verdicts, training, usage, losses, cut_off)
        name = verdicts[0]
        judged.setdefault((name.model, variant_of[name.recipe], name.judge), []).append(run)
    leaks = {name: _leaks(read_quality(path)) for name, path in qualities.items()}
    rows = []
    for (model, variant, judge), runs in judged.items():
        alone = recipes[variant]["runs"] == [variant]
        for recipe, of, parts in [
            (variant, "", runs),
            *((run.verdicts[0].recipe, variant, [run]) for run in runs if not alone),
        ]:
            rows.append(
                {
                    "model": model,
                    "recipe": recipe,
                    "judge": judge,
                    "run_of": of,
                    "seeds": " ".join(
                        str(run.training["training"].get("seed", "")) for run in parts
                    ),
                    "backend": parts[0].usage["backend"],
                    **_sums(parts, leaks[recipes[variant]["dataset"]]),
                    "training_seconds": as_text(sum(run.training["seconds"] for run in parts), 1),
                    **effort([run.usage for run in parts]),
                    **_losses(parts),
                    "device": _each(run.training["device"] for run in parts),
                    "versions": _each(
                        " ".join(map("=".join, run.training["versions"].items())) for run in parts
                    ),
                    "differs_in": apart[variant],
                    **{key: columns[variant].get(key, "") for key in keys},
                }
            )
    if found := win_rows(rows, wins, recipes):
        rows = [{**row, **dict.fromkeys(WIN_COLUMNS, "")} for row in rows] + found
    write_csv(output, list(rows[0]), rows, recorded=True)


def _read_training(folder: Path) -> tuple[Mapping[str, Any], Sequence[Mapping[str, float]]]:
    """Return training.json and losses.csv of a run."""
    training = read_training(folder / "training.json", *_NEEDED)
    return training, read_losses(folder / "losses.csv", training)


def _each(texts: Iterable[str]) -> str:
    """Join the different ones of some texts, in order."""
    return "; ".join(dict.fromkeys(texts))


@dataclass(frozen=True)
class _Leaks:
    """Groups of test entries with the same question: those also in training, and repeated ones."""

    seen: Sequence[set[int]]
    repeated: Sequence[set[int]]


def _leaks(quality: Mapping[str, Any]) -> _Leaks:
    return _Leaks(seen_in_training(quality), repeated_in_test(quality))


@dataclass(frozen=True)
class _Run:
    """The verdicts of one judge on one run, its training.json, usage.json and losses.csv.

    `cut_off` holds the numbers of the responses that ended for want of tokens; None if unknown.
    """

    verdicts: Sequence[Verdict]
    training: Mapping[str, Any]
    usage: Mapping[str, Any]
    losses: Sequence[Mapping[str, float]]
    cut_off: set[int] | None


def _sums(runs: Sequence[_Run], leaks: _Leaks) -> dict[str, Any]:
    """Return counts and statistics of one judge's verdicts on the runs of one variant.

    Counts are sums over the runs, shares and scores are means.
    """
    seen, repeated = set().union(*leaks.seen), set().union(*leaks.repeated)
    cut_off = [run.cut_off for run in runs]
    by_run = [by_entry(run.verdicts) for run in runs]
    judged = [repeats for entries in by_run for repeats in entries.values()]
    counts = Counter(map(entry_status, judged))
    of_runs = [entry_scores(entries) for entries in by_run]
    scores = [score for own in of_runs for score in own.values()]
    unseen = [[score for n, score in own.items() if n not in seen] for own in of_runs]
    without_seen = fmean(map(fmean, unseen)) if seen and all(unseen) else None
    if len(runs) == 1:
        interval, mean = mean_interval(scores), fmean(scores) if scores else None
    else:
        interval = interval_of_runs(of_runs)
        mean = fmean(fmean(own.values()) for own in of_runs) if all(of_runs) else None
    return {
        "entries": len(judged),
        **{status: counts[status] for status in STATUSES},
        "asked_again": sum(verdict.asked_again for run in runs for verdict in run.verdicts),
        "mean": as_text(mean, 4),
        "low": as_text(interval.low if interval else None, 4),
        "high": as_text(interval.high if interval else None, 4),
        "seed_spread": as_text(spread_of_runs(of_runs), 4),
        "seen_in_training": sum(len(seen & entries.keys()) for entries in by_run),
        "seen_groups": len(leaks.seen) * len(runs),
        "mean_without_seen": as_text(without_seen, 4),
        "repeated_in_test": sum(len(repeated & entries.keys()) for entries in by_run),
        "repeated_groups": len(leaks.repeated) * len(runs),
        "cut_off": "" if None in cut_off else sum(len(own or ()) for own in cut_off),
        "median": as_text(median(scores) if scores else None, 4),
        "exact_rate": as_text(fmean(repeats[0].exact_match for repeats in judged), 4),
        "share_50": as_text(fmean(s >= GOOD_SCORE for s in scores) if scores else None, 4),
        "judge_spread": as_text(_spread(judged), 4),
        "response_tokens": sum(repeats[0].response_tokens or 0 for repeats in judged),
    }


def _spread(entries: Iterable[Sequence[Verdict]]) -> float | None:
    """Return the mean over responses of the standard deviation of repeats; None without any."""
    scores = [[v.score for v in verdicts if v.score is not None] for verdicts in entries]
    deviations = [stdev(values) for values in scores if len(values) > 1]
    return fmean(deviations) if deviations else None


def _losses(runs: Sequence[_Run]) -> dict[str, str]:
    """Return the last training and validation loss, as means over runs."""
    last = [run.losses[-1] if run.losses else None for run in runs]
    return {
        column: as_text(
            fmean(
                row[column] if row else run.training["initial_losses"][split]
                for row, run in zip(last, runs, strict=True)
            ),
            4,
        )
        for split, column in (("train", "train_loss"), ("val", "val_loss"))
    }

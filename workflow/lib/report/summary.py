"""summary.csv, a row per variant and judge, and scores.csv of all variants."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from workflow.lib.judge.scores import (
    COLUMNS,
    STATUSES,
    Verdict,
    by_entry,
    entry_scores,
    entry_status,
    read_rows,
    read_scores,
)
from workflow.lib.judge.usage import read_usage
from workflow.lib.model.record import read_training
from workflow.lib.report.statistics import mean_interval
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv

GOOD_SCORE = 50  # of 100: at least half right


def collect_scores(tables: Sequence[Path], output: Path) -> None:
    """Join scores.csv files into one, in the given order.

    Args:
        tables: scores.csv files.
        output: CSV file to write.

    Raises:
        UserError: a table has other columns than a scores.csv.
    """
    write_csv(output, COLUMNS, (row for table in tables for row in read_rows(table)))


def summarize(
    tables: Sequence[Path], trainings: Iterable[Path], usages: Iterable[Path], output: Path
) -> None:
    """Write summary.csv: a row for each scores.csv, so judges are never mixed.

    An entry that was judged several times counts once, with the mean of its scores.

    Args:
        tables: files results/{model}/{recipe}/{judge}/scores.csv, in the order of the rows.
        trainings: training.json of each variant, from the folder above, in any order.
        usages: usage.json from beside each table, in any order.
        output: CSV file to write; the same bytes from the same files.

    Raises:
        UserError: a table has other columns than a scores.csv or no rows.
    """
    times = {path.parent: read_training(path, "seconds")["seconds"] for path in trainings}
    used = {path.parent: read_usage(path) for path in usages}
    rows = []
    for table in tables:
        verdicts = read_scores(table)
        if not verdicts:
            raise UserError(f"{table}: has no rows; delete it and run again")
        seconds, usage = times[table.parent.parent], used[table.parent]
        rows.append(
            {
                "model": verdicts[0].model,
                "recipe": verdicts[0].recipe,
                "judge": verdicts[0].judge,
                "backend": usage["backend"],
                **_sums(verdicts),
                "training_seconds": _text(seconds, 1),
                **_effort(usage),
            }
        )
    write_csv(output, list(rows[0]), rows, recorded=True)


def _sums(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return counts and statistics of one judge's verdicts on one variant."""
    entries = by_entry(verdicts)
    counts = Counter(map(entry_status, entries.values()))
    scores = list(entry_scores(entries).values())
    interval = mean_interval(scores)
    exact = [repeats[0].exact_match for repeats in entries.values()]
    lengths = [repeats[0].response_tokens for repeats in entries.values()]
    return {
        "entries": len(entries),
        **{status: counts[status] for status in STATUSES},
        "mean": _text(fmean(scores) if scores else None, 4),
        "low": _text(interval.low if interval else None, 4),
        "high": _text(interval.high if interval else None, 4),
        "median": _text(median(scores) if scores else None, 4),
        "exact_rate": _text(fmean(exact), 4),
        "share_50": _text(fmean(s >= GOOD_SCORE for s in scores) if scores else None, 4),
        "judge_spread": _text(_spread(entries.values()), 4),
        "response_tokens": sum(length or 0 for length in lengths),
    }


def _spread(entries: Iterable[Sequence[Verdict]]) -> float | None:
    """Return the mean over responses of the standard deviation of repeats; None without any."""
    scores = [[v.score for v in verdicts if v.score is not None] for verdicts in entries]
    deviations = [stdev(values) for values in scores if len(values) > 1]
    return fmean(deviations) if deviations else None


def _effort(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return tokens, seconds and cost, blank for a judge without a server or without prices."""
    asked = usage["answers"] > 0
    return {
        "judge_tokens": usage["question_tokens"] + usage["answer_tokens"] if asked else "",
        "judge_seconds": _text(usage["seconds"] if asked else None, 1),
        "cost": _text(usage["cost"], 6),
    }


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

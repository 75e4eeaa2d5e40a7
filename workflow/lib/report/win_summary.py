"""The rows of summary.csv about pairwise judges."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow.lib.judge.usage import read_usage
from workflow.lib.judge.wins import Win, read_wins
from workflow.lib.report.summary_rows import NUMBERS, WIN_COLUMNS, as_text, effort
from workflow.lib.report.win_rates import WinRate, win_rate
from workflow.lib.runtime.errors import UserError

# Of the columns about scores, those that say nothing of a pairwise judge.
_OF_SCORES = set(NUMBERS) - {"cut_off", "training_seconds", "judge_tokens", "judge_seconds", "cost"}
_Name = tuple[str, str, str]  # model, recipe and judge


def win_rows(
    rows: Sequence[Mapping[str, Any]],
    tables: Sequence[Path],
    recipes: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return a row for each variant and pairwise judge, and for each run of several.

    Args:
        rows: those about scores, which hold the rest of what is said about a variant.
        tables: files results/{model}/{run}/{judge}/wins.csv, in the order of the rows.
        recipes: for each variant of a recipe `runs`, the names of its runs.
    """
    of_run = {run: variant for variant, of in recipes.items() for run in of["runs"]}
    judged: dict[_Name, list[tuple[list[Win], Mapping[str, Any]]]] = {}
    for table in tables:
        wins, usage = read_wins(table), read_usage(table.parent / "usage.json")
        named = wins[0]
        if named.recipe not in of_run:
            raise UserError(
                f"{table}: is of recipe {named.recipe!r}, which is none of those compared; delete "
                "it and run again"
            )
        name = named.model, of_run[named.recipe], named.judge
        judged.setdefault(name, []).append((wins, usage))
    about = {(row["model"], row["recipe"]): row for row in reversed(rows)}
    found = []
    for (model, variant, judge), runs in judged.items():
        several = recipes[variant]["runs"] != [variant]
        parts = [(variant, runs), *((run[0][0].recipe, [run]) for run in runs if several)]
        for recipe, of in parts:
            base = about[model, recipe]
            rate = win_rate([wins for wins, _ in of], not int(base["training.epochs"]))
            usages = [usage for _, usage in of]
            found.append(
                {
                    **base,
                    **dict.fromkeys(_OF_SCORES, ""),
                    "judge": judge,
                    "backend": usages[0]["backend"],
                    **_columns(rate),
                    **effort(usages),
                }
            )
    return found


def _columns(rate: WinRate) -> dict[str, Any]:
    """Return the columns that a win rate fills."""
    intervals = {
        "win": (rate.rate, rate.interval),
        "lc_win": (rate.controlled, rate.controlled_interval),
        "first": (rate.first, rate.first_interval),
    }
    columns = {
        "entries": rate.entries,
        "scored": rate.statuses["judged"] + rate.statuses["same"],
        "unparsed": rate.statuses["unparsed"],
        "failed": rate.statuses["failed"],
        "empty": 0,
        "unrated": rate.statuses["unrated"],
        "asked_again": rate.asked_again,
        "baseline": rate.baseline,
        "wins": rate.wins,
        "ties": rate.ties,
        "losses": rate.losses,
        "disagreements": rate.disagreements,
    }
    for name, (value, interval) in intervals.items():
        columns[f"{name}_rate"] = as_text(value, 4)
        columns[f"{name}_low"] = as_text(interval.low if interval else None, 4)
        columns[f"{name}_high"] = as_text(interval.high if interval else None, 4)
    assert set(WIN_COLUMNS) <= columns.keys()
    return columns

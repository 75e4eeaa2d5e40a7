"""Win rates on the page: a table for each pairwise judge, and what it shows in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workflow.lib.judge.rows import check_entries
from workflow.lib.judge.usage import read_usage
from workflow.lib.judge.wins import read_wins
from workflow.lib.report.comparison import SIGNIFICANT
from workflow.lib.report.format import chance, points
from workflow.lib.report.statistics import Interval, holm
from workflow.lib.report.variants import Variant
from workflow.lib.report.win_rates import WinRate, win_rate


@dataclass(frozen=True)
class WinRow:
    """A variant beside the baseline.

    Args:
        usages: content of usage.json of each run.
        corrected: the p-value, corrected for the number of variants; None where there is none.
        tested: number of variants with a p-value.
    """

    variant: Variant
    rate: WinRate
    usages: Sequence[Mapping[str, Any]]
    corrected: float | None = None
    tested: int = 0

    @property
    def words(self) -> str:
        """The win rate as sentences, after the variant's name."""
        rate = self.rate
        if rate.rate is None:
            return "has no entry with a verdict in every run, so no win rate."
        wins = f"has a win rate of {points(rate.rate)}% against {rate.baseline}"
        if rate.p_value is None:
            return f"{wins}, too little to tell whether it would be so on other entries."
        if self.corrected is not None and self.corrected < SIGNIFICANT:
            luck = "luck" if rate.covers_seeds else "luck in the choice of entries"
            verdict = f"this is more than {luck}"
        elif rate.p_value < SIGNIFICANT:
            verdict = f"among {self.tested} comparisons, that is no surprise"
        else:
            verdict = "these entries do not show which is better"
        return (
            f"{wins}. If both were equally good, so large a distance from 50% would turn up "
            f"{chance(rate.p_value)}: {verdict}."
        )

    @property
    def seconds(self) -> float | None:
        """The seconds that the judge took; None for one without a server."""
        return sum(u["seconds"] for u in self.usages) if self.replies else None

    @property
    def replies(self) -> int:
        """The number of replies of the judge."""
        return sum(usage["answers"] for usage in self.usages)

    @property
    def tokens(self) -> int:
        """The tokens of all questions and replies."""
        return sum(usage["question_tokens"] + usage["answer_tokens"] for usage in self.usages)

    @property
    def cost(self) -> float | None:
        """What the judge cost; None without prices."""
        costs = [usage["cost"] for usage in self.usages if usage["cost"] is not None]
        return sum(costs) if costs else None


@dataclass(frozen=True)
class WinTable:
    """The win rates by one judge.

    Args:
        label: what the judge is.
        rows: the best first, the baselines themselves last.
        asked: whether the judge is a language model, which may favor a place.
    """

    judge: str
    label: str
    rows: Sequence[WinRow]
    asked: bool

    @property
    def compared(self) -> list[WinRow]:
        """The rows of variants that are not the baseline."""
        return [row for row in self.rows if not row.rate.is_baseline]


def win_tables(
    variants: Sequence[Variant], judges: Mapping[str, str], results: Path
) -> list[WinTable]:
    """Read the wins.csv of all variants and return a table for each pairwise judge.

    Args:
        judges: label of each pairwise judge, by name.
        results: folder of the variants' folders.

    Raises:
        UserError: a table is damaged, or of other entries than the variant's.
    """
    return [_table(variants, judge, label, results) for judge, label in judges.items()]


def _table(variants: Sequence[Variant], judge: str, label: str, results: Path) -> WinTable:
    rows = []
    for variant in variants:
        runs, usages = [], []
        for run in variant.runs or [variant]:
            table = results / run.model / run.recipe / judge / "wins.csv"
            check_entries(table, wins := read_wins(table), len(run.entries))
            runs.append(wins)
            usages.append(read_usage(table.parent / "usage.json"))
        rows.append(WinRow(variant, win_rate(runs, not variant.finetuned), usages))
    tested = [row.rate.p_value for row in rows if row.rate.p_value is not None]
    corrected = iter(holm(tested))
    rows = [
        replace(
            row,
            corrected=None if row.rate.p_value is None else next(corrected),
            tested=len(tested),
        )
        for row in rows
    ]
    ranked = sorted(rows, key=lambda row: (row.rate.is_baseline, -(row.rate.rate or 0)))
    return WinTable(judge, label, ranked, any(row.replies for row in rows))


def range_of(interval: Interval | None) -> str:
    """Return an interval as text, empty where there is none."""
    return f"{points(interval.low)} to {points(interval.high)}" if interval else ""

"""pairs.csv, a row for every two variants with the same test entries and each judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow.lib.report.comparison import Pair
from workflow.lib.report.summary_rows import as_text
from workflow.lib.runtime.files import write_csv

COLUMNS = (
    "judge", "better_model", "better_recipe", "other_model", "other_recipe", "entries",
    "difference", "low", "high", "wins", "ties", "losses", "p_value", "p_corrected",
)  # fmt: skip


def write_pairs(compared: Mapping[str, Sequence[Pair]], output: Path) -> None:
    """Write pairs.csv.

    Args:
        compared: the pairs by each judge.
        output: CSV file to write; only a header where there is one variant.
    """
    write_csv(
        output, COLUMNS, (_row(judge, pair) for judge, pairs in compared.items() for pair in pairs)
    )


def _row(judge: str, pair: Pair) -> dict[str, object]:
    result, interval = pair.result, pair.result.interval
    values = (
        judge, pair.first.model, pair.first.recipe, pair.second.model, pair.second.recipe,
        result.entries, as_text(result.difference, 4),
        as_text(interval.low if interval else None, 4),
        as_text(interval.high if interval else None, 4),
        result.wins, result.ties, result.losses,
        as_text(result.p_value, 6), as_text(pair.p_value, 6),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))

"""Printed figures beside a run's own: only of the same model, and by the same judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.lib.report.format import points
from workflow.lib.report.runs import Run


@dataclass(frozen=True)
class PublishedTable:
    """What was printed about a recipe, and what this run measured.

    Args:
        rows: what, printed, this run's, difference; as text.
    """

    run: Run
    source: str
    rows: Sequence[tuple[str, str, str, str]]


def published_beside_own(
    runs: Sequence[Run], recipes: Mapping[str, Mapping[str, Any]]
) -> list[PublishedTable]:
    """The tables of all variants whose recipe has published figures of their model."""
    tables = []
    for run in runs:
        published = recipes[run.recipe].get("published")
        if published and published["model"] == run.model and (rows := [*_rows(run, published)]):
            tables.append(PublishedTable(run, published["source"], rows))
    return tables


def _rows(run: Run, published: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    if published.get("initial_losses"):
        own = run.training["initial_losses"]
        yield from _losses(
            "before finetuning", published["initial_losses"], own["train"], own["val"]
        )
    measured = {int(row["step"]): row for row in run.losses}
    for step, losses in (published.get("losses") or {}).items():
        if row := measured.get(int(step)):
            yield from _losses(f"after step {step}", losses, row["train_loss"], row["val_loss"])
    judge = published["judge"]
    if published.get("score") is not None and judge in run.judged:
        printed = points(published["score"], 2)
        if published.get("score_range"):
            low, high = published["score_range"]
            printed += f" ({low:g} to {high:g} in other runs)"
        mean = run.judged[judge].number("mean")
        apart = None if mean is None else mean - published["score"]
        yield f"average score by {judge}", printed, points(mean, 2), _signed(apart, 2)


def _losses(
    when: str, printed: Sequence[float], train: float, val: float
) -> Iterator[tuple[str, str, str, str]]:
    for name, was, own in (("training", printed[0], train), ("validation", printed[1], val)):
        yield f"{name} loss {when}", points(was, 3), points(own, 3), _signed(own - was, 3)


def _signed(value: float | None, digits: int) -> str:
    sign = "+" if value is not None and round(value, digits) > 0 else ""
    return sign + points(value, digits)

"""Published figures beside a variant's own: of the same model and the same judge only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.lib.report.format import points
from workflow.lib.report.variants import Variant


@dataclass(frozen=True)
class PublishedTable:
    """Published figures of a recipe beside those of a variant.

    Args:
        source: where they were printed.
        rows: name of the figure, published, measured, difference; as text.
    """

    variant: Variant
    source: str
    rows: Sequence[tuple[str, str, str, str]]


def published_beside_own(
    variants: Sequence[Variant], recipes: Mapping[str, Mapping[str, Any]]
) -> list[PublishedTable]:
    """Return a table for every variant whose recipe has published figures of its model.

    Args:
        recipes: settings by name; `published` holds the figures.
    """
    tables = []
    for variant in variants:
        published = recipes[variant.recipe].get("published")
        if not published or published["model"] != variant.model:
            continue
        if rows := list(_rows(variant, published)):
            tables.append(PublishedTable(variant, published["source"], rows))
    return tables


def _rows(variant: Variant, published: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    if published.get("initial_losses"):
        own = variant.training["initial_losses"]
        yield from _losses(
            "before finetuning", published["initial_losses"], own["train"], own["val"]
        )
    measured = {int(row["step"]): row for row in variant.losses}
    for step, losses in (published.get("losses") or {}).items():
        if row := measured.get(int(step)):
            yield from _losses(f"after step {step}", losses, row["train_loss"], row["val_loss"])
    judge = published["judge"]
    if published.get("score") is not None and judge in variant.judged:
        printed = points(published["score"], 2)
        if published.get("score_range"):
            low, high = published["score_range"]
            printed += f" ({low:g} to {high:g} in other runs)"
        mean = variant.judged[judge].number("mean")
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

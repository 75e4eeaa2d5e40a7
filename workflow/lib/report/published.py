"""Published figures beside a variant's own: of the same model and the same judge only.

Which other settings differ from the published ones is said beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from workflow.lib.report.format import points
from workflow.lib.report.settings import flat, unlike
from workflow.lib.report.variants import Variant
from workflow.lib.settings.recipe import EXECUTION_KEYS, Recipe


@dataclass(frozen=True)
class PublishedTable:
    """Published figures of a recipe beside those of a variant.

    Args:
        source: where they were printed.
        rows: name of the figure, published, measured, difference; as text.
        recipe: the recipe that they belong to if the variant's own is a change of it, else None.
        differs: settings that are not the published ones, as text; None if those are not known.
    """

    variant: Variant
    source: str
    rows: Sequence[tuple[str, str, str, str]]
    recipe: str | None
    differs: Sequence[str] | None


def published_beside_own(
    variants: Sequence[Variant],
    recipes: Mapping[str, Mapping[str, Any]],
    judges: Mapping[str, Mapping[str, Any]],
    entries: Mapping[str, Mapping[str, int]],
) -> list[PublishedTable]:
    """Return a table for every variant whose recipe has published figures of its model.

    Args:
        recipes: by name `settings` of the recipe, and `published`, the figures and the settings
            that they were measured with.
        judges: settings by name.
        entries: of each split, by data set.
    """
    tables = []
    for variant in variants:
        published = recipes[variant.recipe].get("published")
        if not published or published["model"] != variant.model:
            continue
        if rows := list(_rows(variant, published)):
            differs = None
            if published.get("settings") is not None:
                own = _settings(variant, recipes[variant.recipe]["settings"])
                own |= flat({"entries": entries[variant.dataset]})
                own |= flat({"judge": judges.get(published["judge"], {})})
                differs = unlike(own, published_settings(published["settings"]))
            tables.append(
                PublishedTable(variant, published["source"], rows, published.get("recipe"), differs)
            )
    return tables


def published_settings(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of published results by dotted key: those written, else the defaults."""
    left_out = {"dataset", "published", "seeds", "sweep", *EXECUTION_KEYS}
    defaults = flat(Recipe(dataset="").model_dump(mode="json", exclude=left_out))
    sections = {key.rpartition(".")[0] for key in written}
    return {key: value for key, value in defaults.items() if key not in sections} | dict(written)


def _settings(variant: Variant, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a variant by dotted key, with what its training recorded."""
    own = flat(recipe)
    if variant.training.get("precision"):
        own["precision"] = variant.training["precision"]
    if variant.runs:
        own["training.seed"] = " ".join(str(run.seed) for run in variant.runs)
    return own


def _rows(variant: Variant, published: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    runs = variant.runs or [variant]
    if published.get("initial_losses"):
        own = [run.training["initial_losses"] for run in runs]
        train, val = (fmean(losses[split] for losses in own) for split in ("train", "val"))
        yield from _losses("before finetuning", published["initial_losses"], train, val)
    measured = [{int(row["step"]): row for row in run.losses} for run in runs]
    for step, losses in (published.get("losses") or {}).items():
        if rows := [own[int(step)] for own in measured if int(step) in own]:
            train, val = (fmean(row[f"{split}_loss"] for row in rows) for split in ("train", "val"))
            yield from _losses(f"after step {step}", losses, train, val)
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

"""Recipes that are run several times: over a sweep of settings, and with several seeds.

The runs get names such as book,learning_rate=1e-05,seed=2, which no recipe can have, since names
hold no comma.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from workflow.lib.runtime.names import shown, suggest
from workflow.lib.settings.base import folder_of
from workflow.lib.settings.mistakes import in_words
from workflow.lib.settings.places import Mistake
from workflow.lib.settings.recipe import Recipe, Scalar

LONGEST = 200  # characters of a name, which becomes a folder and part of file names
Variants = Mapping[str, Mapping[str, Recipe]]  # by name of the variant, its runs by their names


def count_runs(recipe: Recipe) -> int:
    """Return how many runs a recipe has at most, without making them."""
    count = len(recipe.seeds or [None])
    for values in recipe.sweep.values():
        count *= len(values)
    return count


def expand(name: str, recipe: Recipe, datasets: Collection[str]) -> tuple[Variants, list[Mistake]]:
    """Return the variants of a recipe, each with its runs, and the mistakes in its sweep.

    A variant is one combination of the sweep's values; its runs differ in the seed alone. Nothing
    of a model before finetuning depends on the seed unless its responses are sampled, so it is
    run once.

    Args:
        name: of the recipe.
        recipe: as written in the config, completed.
        datasets: names that a sweep of `dataset` may hold.
    """
    variants: dict[str, dict[str, Recipe]] = {}
    mistakes: list[Mistake] = []
    folders: dict[str, str] = {}
    made: dict[str, str] = {}  # the variants by what they are
    keys = ("recipes", name, "sweep")
    try:
        for suffix, changes in _combinations(recipe.sweep):
            variant = f"{name}{suffix}"
            one = _changed(recipe, changes) if changes else recipe
            if one.dataset not in datasets:
                known = suggest(one.dataset, datasets)
                raise ValueError(f"datasets has no {shown(one.dataset)}{known}")
            if len(variant) > LONGEST:
                raise ValueError(f"the name {variant} is longer than {LONGEST} characters")
            if (other := folders.setdefault(folder_of(variant), variant)) != variant:
                raise ValueError(f"two values make names that differ by case: {other}, {variant}")
            if variant in variants:
                raise ValueError(f"two values make the same name, {variant}")
            if (other := made.setdefault(one.model_dump_json(), variant)) != variant:
                raise ValueError(f"{other} and {variant} are the same settings; keep one value")
            variants[variant] = dict(_runs(variant, one))
    except ValidationError as error:
        told = ", ".join(f"{key}: {value}" for key, value in changes.items())
        mistakes = [Mistake(keys, f"{in_words(each)} (with {told})") for each in error.errors()]
    except ValueError as error:
        mistakes = [Mistake(keys, str(error))]
    return variants, mistakes


def _runs(variant: str, recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield the runs of a variant by name: one for each seed, or itself."""
    seedless = recipe.training.epochs == 0 and recipe.generation.temperature == 0
    if not recipe.seeds or seedless:
        yield variant, recipe.model_copy(update={"seeds": None})
        return
    for seed in recipe.seeds:
        yield (
            f"{variant},seed={seed}",
            recipe.model_copy(
                update={
                    "seeds": None,
                    "training": recipe.training.model_copy(update={"seed": seed}),
                    "generation": recipe.generation.model_copy(update={"seed": seed}),
                }
            ),
        )


def _combinations(sweep: Mapping[str, list[Scalar]]) -> Iterator[tuple[str, dict[str, Scalar]]]:
    """Yield the end of the name and the changed keys of every combination of values."""
    short = {key: key.rpartition(".")[2] for key in sweep}
    names = [*short.values()]
    for values in product(*sweep.values()):
        changes = dict(zip(sweep, values, strict=True))
        yield (
            "".join(
                f",{short[key] if names.count(short[key]) == 1 else key}={_in_name(value)}"
                for key, value in changes.items()
            ),
            changes,
        )


def _in_name(value: Scalar) -> str:
    """Return a value as part of a file's name; of a path its last part without its ending."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    text = str(value)
    if "/" in text or text.endswith((".yaml", ".yml", ".json")):
        text = PurePath(text).stem
    return re.sub(r"[^\w.+-]+", "-", text)


def _changed(recipe: Recipe, changes: Mapping[str, Scalar]) -> Recipe:
    """Return a recipe with some keys changed, checked again.

    Raises:
        ValidationError: a key is unknown, or a value is not allowed.
    """
    # Published results belong to the recipe they were measured with, not to a change of it.
    values: dict[str, Any] = recipe.model_dump() | {"published": None, "sweep": {}}
    for path, value in changes.items():
        *sections, key = path.split(".")
        inner = values
        for section in sections:
            if inner.get(section) is None:
                inner[section] = {}  # such as training.lora.rank of a recipe without LoRA
            inner = inner[section]
            if not isinstance(inner, dict):
                raise ValueError(f"{path}: {section} is no section of keys")
        inner[key] = value
    return Recipe.model_validate(values)

"""Recipes that extend others: each completed by what it extends and by `defaults`."""

from collections.abc import Iterable, Mapping
from typing import Any

from workflow.lib.runtime.names import shown, suggest
from workflow.lib.settings.places import Mistake

DEFAULTS = "defaults"  # the key in `recipes` of values for all of them


def complete_recipes(written: Any) -> tuple[Any, list[Mistake]]:
    """Lay each recipe over the one it extends, and that one over `defaults`.

    Args:
        written: the section `recipes` of the config, unchecked.

    Returns:
        The recipes without `defaults` and `extends`, and the mistakes in what they extend. A
        value that is not a section is returned unchanged.
    """
    if not isinstance(written, dict):
        return written, []
    defaults = written.get(DEFAULTS) or {}
    if not isinstance(defaults, dict):
        problem = f"should be a section of keys, not {shown(defaults)}"
        return complete_recipes({**written, DEFAULTS: {}})[0], [
            Mistake(("recipes", DEFAULTS), problem)
        ]
    mistakes = [
        Mistake(("recipes", DEFAULTS, key), "is for single recipes; the defaults cannot have it")
        for key in ("extends", "published", "sweep")
        if key in defaults
    ]
    complete: dict[Any, Any] = {}
    for name, recipe in written.items():
        if name == DEFAULTS:
            continue
        names = _ancestors(name, written, mistakes)
        layers = [defaults, *(written[each] for each in reversed(names))]
        if not all(isinstance(layer, dict) for layer in layers):
            complete[name] = recipe
            continue
        merged = overlay(layers)
        merged.pop("extends", None)
        # Published results belong to the recipe they were measured with, not to a change of it.
        merged["published"] = recipe.get("published")
        merged.pop("sweep", None)  # its values would silently replace those of this recipe
        if "sweep" in recipe:
            merged["sweep"] = recipe["sweep"]
        complete[name] = merged
    return complete, mistakes


def origin(name: Any, keys: Iterable[Any], written: Any) -> Any:
    """Return which recipe sets a key that another one may have inherited.

    Args:
        name: the recipe that has the key.
        keys: the path of the key in the recipe, such as training, lora, rank.
        written: the section `recipes` of the config, unchecked.

    Returns:
        The name of that recipe, or `defaults`; the given name if none sets the key.
    """
    if not isinstance(written, dict):
        return name
    for each in [*_ancestors(name, written, []), DEFAULTS]:
        section = written.get(each)
        for key in keys:
            if not (isinstance(section, dict) and key in section):
                break
            section = section[key]
        else:
            return each
    return name


def extended(written: Any) -> dict[str, list[str]]:
    """Return the recipes that each recipe extends, the nearest first.

    Args:
        written: the section `recipes` of the config, checked.
    """
    return {name: _ancestors(name, written, [])[1:] for name in written if name != DEFAULTS}


def _ancestors(name: Any, written: Mapping[Any, Any], mistakes: list[Mistake]) -> list[Any]:
    """Return a recipe, the one it extends, and so on; add mistakes to a list."""
    names: list[Any] = []
    parent = name
    while parent is not None:
        if names and not isinstance(parent, str):
            problem = f"should be a recipe's name, not {shown(parent)}"
        elif parent in names:
            problem = "goes round in a circle"
        elif parent not in written:
            problem = f"unknown recipe {shown(parent)}{suggest(parent, written)}"
        else:
            names.append(parent)
            recipe = written[parent]
            parent = recipe.get("extends") if isinstance(recipe, dict) else None
            continue
        mistakes.append(Mistake(("recipes", names[-1], "extends"), problem))
        break
    return names


def overlay(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge layers key by key, also inside sections; later layers win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                value = overlay([merged[key], value])
            merged[key] = value
    return merged

"""Mistakes in the config, each as one line: its path, what was found and what was expected."""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from workflow.lib.runtime.names import suggest
from workflow.lib.settings.inheritance import origin
from workflow.lib.settings.judges import settings_class
from workflow.lib.settings.root import Settings


def undefined_names(config: Mapping[str, Any], written_recipes: Any) -> list[str]:
    """Return a line for each name in the config that its section does not define.

    Args:
        config: the config with complete recipes, unchecked.
        written_recipes: the recipes as written, to name the one that sets an inherited name.
    """
    sections = {name: value for name, value in config.items() if isinstance(value, dict)}
    references: list[tuple[str, str, Any]] = []  # path, section that should define it, name
    for section in ("models", "recipes", "judges"):
        chosen = sections.get("compare", {}).get(section)
        for number, name in enumerate(chosen if isinstance(chosen, list) else []):
            references.append((f"compare.{section}.{number}", section, name))
    for section, key, target in (
        ("models", "tokenizer", "tokenizers"),
        ("recipes", "dataset", "datasets"),
    ):
        for name, definition in sections.get(section, {}).items():
            if isinstance(definition, dict) and key in definition:
                owner = origin(name, [key], written_recipes) if section == "recipes" else name
                references.append((f"{section}.{owner}.{key}", target, definition[key]))
    return [
        f"{path}: {target} has no {name!r}{suggest(name, sections[target])}"
        for path, target, name in references
        if isinstance(name, str) and target in sections and name not in sections[target]
    ]


def explain(detail: Mapping[str, Any], config: Mapping[str, Any], written_recipes: Any) -> str:
    """Return the line for a mistake that pydantic found.

    Args:
        detail: one of the error's `errors()`.
        config: the config with complete recipes, unchecked.
        written_recipes: the recipes as written, to name the one that sets an inherited key.
    """
    location = tuple(detail["loc"]) or ("config",)
    if location[0] == "recipes" and len(location) > 1:
        name, *keys = location[1:]
        location = ("recipes", origin(name, keys, written_recipes), *keys)
    path = ".".join(str(part) for part in location if part != "[key]")
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key{suggest(str(location[-1]), _keys_at(location[:-1], config))}"
    if kind == "missing":
        return f"{path}: required, but missing"
    if kind == "string_pattern_mismatch" and "[key]" in location:
        return f"{path}: names start with a letter or digit and hold only those and . _ -"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{path}: should be a section of keys, not {found!r}"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error" or " should " not in message:
        return f"{path}: {message}"
    expected = message.partition(" should ")[2].partition(" after validation")[0]
    return f"{path}: should {expected}, not {found!r}"


def _keys_at(location: tuple[Any, ...], config: Mapping[str, Any]) -> set[str]:
    """Return the keys that the section at this place in the config can have."""
    types: list[Any] = [Settings]
    if location[:1] == ("judges",) and len(location) > 1:
        types = [settings_class(config["judges"][location[1]]["backend"])]
        location = location[2:]
    for part in location:
        types = [inner for outer in types for inner in _types_inside(outer, part)]
    return {key for section in types for key in getattr(section, "model_fields", {})}


def _types_inside(annotation: Any, part: Any) -> Iterable[Any]:
    """Return the types one level deeper: of a section's field, or of a dict's values."""
    if fields := getattr(annotation, "model_fields", None):
        return _members(fields[part].annotation) if part in fields else []
    return _members(get_args(annotation)[-1]) if get_args(annotation) else []


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, without Annotated."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for inner in get_args(annotation) for member in _members(inner)]
    return [annotation]

"""Mistakes in the config, each as one line: its path, what was found and what was expected."""

from collections.abc import Mapping
from typing import Any

from workflow.lib.runtime.names import suggest
from workflow.lib.settings.inheritance import origin


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


def explain(detail: Mapping[str, Any], written_recipes: Any) -> str:
    """Return the line for a mistake that pydantic found in the config.

    Args:
        detail: one of the error's `errors()`.
        written_recipes: the recipes as written, to name the one that sets an inherited key.
    """
    location = tuple(detail["loc"]) or ("config",)
    if location[0] == "recipes" and len(location) > 1:
        name, *keys = location[1:]
        location = ("recipes", origin(name, keys, written_recipes), *keys)
    return in_words({**detail, "loc": location})


def in_words(detail: Mapping[str, Any]) -> str:
    """Return the line for a mistake that pydantic found in any section."""
    kind, found, location = detail["type"], detail["input"], detail["loc"]
    path = ".".join(str(part) for part in location if part != "[key]")
    start = f"{path}: " if path else ""
    if kind == "missing":
        return f"{start}required, but missing"
    if kind == "string_pattern_mismatch" and "[key]" in location:
        return f"{start}names start with a letter or digit and hold only those and . _ -"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{start}should be a section of keys, not {found!r}"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error" or " should " not in message:
        return f"{start}{message}"
    expected = message.partition(" should ")[2].partition(" after validation")[0]
    return f"{start}should {expected}, not {found!r}"

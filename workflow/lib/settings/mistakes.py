"""Mistakes in the config, each as one line: its path, what was found and what was expected."""

from collections.abc import Mapping
from typing import Any

from workflow.lib.runtime.names import shown, suggest
from workflow.lib.settings.inheritance import origin
from workflow.lib.settings.places import Mistake
from workflow.lib.settings.structure import not_text


def undefined_names(config: Mapping[str, Any], written_recipes: Any) -> list[Mistake]:
    """Return each name in the config that its section does not define.

    Args:
        config: the config with complete recipes, unchecked.
        written_recipes: the recipes as written, to name the one that sets an inherited name.
    """
    sections = {name: value for name, value in config.items() if isinstance(value, dict)}
    references: list[tuple[tuple[Any, ...], str, Any]] = []  # path, defining section, name
    for section in ("models", "recipes", "judges"):
        chosen = sections.get("compare", {}).get(section)
        for number, name in enumerate(chosen if isinstance(chosen, list) else []):
            references.append((("compare", section, number), section, name))
    for section, key, target in (
        ("models", "tokenizer", "tokenizers"),
        ("recipes", "dataset", "datasets"),
    ):
        for name, definition in sections.get(section, {}).items():
            if isinstance(definition, dict) and key in definition:
                owner = origin(name, [key], written_recipes) if section == "recipes" else name
                references.append(((section, owner, key), target, definition[key]))
    return [
        Mistake(keys, f"{target} has no {shown(name)}{suggest(name, sections[target])}")
        for keys, target, name in references
        if isinstance(name, str) and target in sections and name not in sections[target]
    ]


def explain(detail: Mapping[str, Any], written_recipes: Any) -> Mistake:
    """Return a mistake that pydantic found in the config.

    Args:
        detail: one of the error's `errors()`.
        written_recipes: the recipes as written, to name the one that sets an inherited key.
    """
    keys = tuple(detail["loc"]) or ("config",)
    if keys[0] == "recipes" and len(keys) > 1:
        name, *inner = keys[1:]
        keys = ("recipes", origin(name, inner, written_recipes), *inner)
    return Mistake(tuple(key for key in keys if key != "[key]"), _problem(detail))


def in_words(detail: Mapping[str, Any]) -> str:
    """Return the line for a mistake that pydantic found in any section."""
    return str(Mistake(tuple(key for key in detail["loc"] if key != "[key]"), _problem(detail)))


def _problem(detail: Mapping[str, Any]) -> str:
    kind, found, location = detail["type"], detail["input"], detail["loc"]
    if kind == "missing":
        return "required, but missing"
    if kind == "string_pattern_mismatch" and "[key]" in location:
        return (
            "names start with a letter or digit and hold only those and . _ -, at most 100 in all"
        )
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"should be a section of keys, not {shown(found)}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if kind == "value_error" or " should " not in message:
        return message
    expected = message.partition(" should ")[2].partition(" after validation")[0]
    quote = f"; {not_text(found)}" if kind == "string_type" and not_text(found)[0] == "Y" else ""
    return f"should {expected}, not {shown(found)}{quote}"

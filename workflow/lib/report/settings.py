"""The settings of the compared recipes: as columns of a table, and what sets variants apart."""

from collections.abc import Mapping, Sequence
from typing import Any


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted key, such as training.learning_rate; no sections remain."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def differences(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return of each variant the settings that are not the same in all of them, as text.

    Args:
        recipes: settings of each variant of a recipe, by its name.

    Returns:
        Texts such as "learning_rate 5e-05, mask_prompt true", by name; empty where all are equal.
    """
    tables = {name: flat(settings) for name, settings in recipes.items()}
    keys = dict.fromkeys(key for table in tables.values() for key in table)
    apart = [
        key for key in keys if len({repr(table.get(key, keys)) for table in tables.values()}) > 1
    ]
    names = _short(apart)
    return {
        name: ", ".join(f"{names[key]} {_text(table[key])}" for key in apart if key in table)
        for name, table in tables.items()
    }


def unlike(own: Mapping[str, Any], published: Mapping[str, Any]) -> list[str]:
    """Return how settings differ from published ones, as texts such as "epochs 3 (published: 2)".

    Args:
        own, published: settings by dotted key. A key that one of them lacks is not compared, unless
            its section is None there, as training.lora is without adapters.
    """
    found = []
    for key in dict.fromkeys([*own, *published]):
        section, _, last = key.rpartition(".")
        without = None in (own.get(section, ""), published.get(section, ""))
        both = key in own and key in published
        if (both or without) and own.get(key) != published.get(key):
            name = last if section in ("training", "evaluation", "generation") else key
            values = _text(own.get(key)), _text(published.get(key))
            found.append("{} {} (published: {})".format(name.removeprefix("training."), *values))
    return found


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the whole of it where two share that part."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: part if last.count(part) == 1 else key for key, part in zip(keys, last, strict=True)
    }


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return str(value)

"""The shape of a config as written, checked before its keys are.

YAML can write what no setting is and what every later step would trip over: sections within
themselves, a few lines that unfold to billions of values, and names that YAML reads as numbers.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from workflow.lib.runtime.names import shown
from workflow.lib.settings.places import Mistake

DEEPEST = 20  # levels of sections and lists
MOST_ITEMS = 10_000  # of a list
MOST_VALUES = 200_000  # in the whole config, each counted as often as aliases repeat it
# Sections whose keys are names that the user chooses.
DEFINITIONS = ("datasets", "tokenizers", "models", "recipes", "judges")


def misshapen(config: Mapping[Any, Any]) -> Mistake | None:
    """Return the first thing that makes a config impossible to read; None if it can be read."""
    count = 0
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), config)]
    while waiting:
        path, value = waiting.pop()
        count += 1
        if len(path) > DEEPEST:
            return Mistake(path[:3], f"is nested more than {DEEPEST} levels deep")
        if count > MOST_VALUES:
            return Mistake(path[:3], f"unfolds to more than {MOST_VALUES:,} values")
        if isinstance(value, str) and (problem := _unwritable(value)):
            return Mistake(path, f"{shown(value)} {problem}")
        if isinstance(value, Mapping):
            waiting += [((*path, key), inner) for key, inner in value.items()]
            waiting += [((*path, key), key) for key in value if isinstance(key, str)]
        elif isinstance(value, list | tuple):
            if len(value) > MOST_ITEMS:
                return Mistake(path, f"is a list of more than {MOST_ITEMS:,} values")
            waiting += [((*path, place), inner) for place, inner in enumerate(value)]
    return None


def unquoted_names(config: Mapping[Any, Any]) -> Iterator[Mistake]:
    """Yield each name of a definition that YAML reads as something else than text."""
    for section in DEFINITIONS:
        named = config.get(section)
        for name in named if isinstance(named, Mapping) else ():
            if not isinstance(name, str):
                yield Mistake((section, name), not_text(name))


def not_text(value: Any) -> str:
    """Return what to do about a value that should be text and is not."""
    if isinstance(value, bool):
        return f"YAML reads this as {str(value).lower()}; if it is a name, write it in quotes"
    if value is None:
        return "YAML reads this as null; if it is a name, write it in quotes"
    if isinstance(value, int | float | date):
        return f"YAML reads this as a {_kind(value)}; if it is a name, write it in quotes"
    return "should be text"


def _kind(value: Any) -> str:
    return "date" if isinstance(value, date) else "number"


def _unwritable(text: str) -> str | None:
    """Return why a text cannot be a setting: no file and no name of a file can hold it."""
    if "\0" in text:
        return "contains the character NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half a surrogate pair, which UTF-8 cannot hold"
    return None

"""Names in config.yaml and on the command line; for an unknown one the nearest is suggested."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from workflow.lib.runtime.errors import UserError

Definition = TypeVar("Definition")


def choose(kind: str, name: str, definitions: Mapping[str, Definition]) -> Definition:
    """Return the definition of a name.

    Raises:
        UserError: the name is unknown; suggests the nearest.
    """
    if name not in definitions:
        raise UserError(f"unknown {kind} {name!r}{suggest(name, definitions)}")
    return definitions[name]


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest one, or all of a few."""
    known = sorted(map(str, known))
    if near := get_close_matches(name, known, n=1, cutoff=0.5):
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(known)}" if 0 < len(known) <= 12 else ""

"""Names in config.yaml and on the command line; for an unknown one the nearest is suggested."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, TypeVar

from workflow.lib.runtime.errors import UserError

Definition = TypeVar("Definition")

MOST = 400  # characters of a line about a mistake
_LONGEST = 100  # characters of a name that is compared, suggested or written out


class _Short(Repr):
    """Values in the notation of Python, shortened; the time does not depend on their size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 80, 80

    def repr_int(self, value: int, _level: int) -> str:
        """Return a number; Python itself refuses to write one of thousands of digits."""
        return repr(value) if value.bit_length() <= 128 else "a number of too many digits"


def shown(value: Any) -> str:
    """Return a value for a message: of a bounded length, control characters escaped."""
    return _Short().repr(value)


def cut(name: str) -> str:
    """Return a name for a message: as it is, or `shown` if it is long."""
    return name if len(name) <= _LONGEST else shown(name)


def in_one_line(text: str) -> str:
    """Return a message as one line of at most `MOST` characters, control characters escaped."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: 2 * MOST])
    return line if len(line) <= MOST else f"{line[: MOST - 1]}…"


def choose(kind: str, name: str, definitions: Mapping[str, Definition]) -> Definition:
    """Return the definition of a name.

    Raises:
        UserError: the name is unknown; suggests the nearest.
    """
    if name not in definitions:
        raise UserError(f"unknown {kind} {shown(name)}{suggest(name, definitions)}")
    return definitions[name]


def suggest(name: str, known: Iterable[Any]) -> str:
    """Return the end of a message about an unknown name: the nearest one, or all of a few."""
    names = sorted(map(str, known))
    short = [each for each in names if len(each) <= _LONGEST]
    if near := get_close_matches(name[:_LONGEST], short, n=1, cutoff=0.5):
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(map(cut, names))}" if 0 < len(names) <= 12 else ""

"""Where a setting stands: its path in the config, and the file that sets it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.lib.runtime.names import cut, shown

COMMAND_LINE = "--config"


@dataclass(frozen=True)
class Layer:
    """One source of settings.

    Args:
        name: the file as messages name it, or `COMMAND_LINE`.
        content: what it holds, unchecked.
    """

    name: str
    content: Mapping[Any, Any]


def source_of(keys: Iterable[Any], layers: Sequence[Layer]) -> str:
    """Return the name of the layer that sets a key.

    Args:
        keys: the key's path, such as recipes, mine, training.
        layers: later ones are laid over earlier ones.

    Returns:
        The last of the layers that hold the longest part of the path.
    """
    keys = list(keys)
    return max(reversed(layers), key=lambda layer: _depth(layer.content, keys)).name


def _depth(content: Any, keys: Sequence[Any]) -> int:
    """Return how many keys of a path are there."""
    for depth, key in enumerate(keys):
        if not (isinstance(content, Mapping) and key in content):
            return depth
        content = content[key]
    return len(keys)


@dataclass(frozen=True)
class Mistake:
    """A mistake in the config.

    Args:
        keys: path of the key that it stands at.
        problem: what was found and expected.
    """

    keys: tuple[Any, ...]
    problem: str

    def __str__(self) -> str:
        path = dotted(self.keys)
        return f"{path}: {self.problem}" if path else self.problem


def dotted(path: tuple[Any, ...]) -> str:
    """Return the path of a key as it is written in messages."""
    return ".".join(cut(part) if isinstance(part, str) else shown(part) for part in path)

"""Reading YAML strictly: a repeated key is refused, and nothing unfolds without end."""

from pathlib import Path
from typing import Any

import yaml

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_text
from workflow.lib.runtime.names import in_one_line

MOST_KEYS = 100_000  # of a section, merged ones included


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys, of which SafeLoader silently keeps the last.

    A key that overrides one of a merged section (`<<`) is not repeated.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            merged = key.tag == "tag:yaml.org,2002:merge"
            name = key.value if merged else self.construct_object(key)
            line = key.start_mark.line + 1
            if name in lines:
                raise UserError(
                    f"line {line}: {name!r} appears twice, first in line {lines[name]}; remove one"
                )
            lines[name] = line
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge sections, but not without end: each merge of merges multiplies the keys."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:
            line = node.start_mark.line + 1
            raise UserError(f"line {line}: `<<` merges more than {MOST_KEYS:,} keys")


def read_yaml(path: str | Path, called: str = "") -> Any:
    """Read a YAML file.

    Args:
        called: what kind of file it is; put before its path in messages.

    Raises:
        UserError: it cannot be read, is not UTF-8, is not YAML or repeats a key; says where.
    """
    name = f"{called} {path}".strip()
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{called} {error}".strip()) from error
    try:
        return yaml.load(text, _StrictLoader)
    except UserError as error:
        raise UserError(in_one_line(f"{name}: {error}")) from error
    # PyYAML lets the errors of Python's own types through, such as that of a date in month 13.
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        at = f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(error)
        at = at.partition("; use sys.set_int_max_str_digits")[0]
        raise UserError(in_one_line(f"{name}: not YAML ({' '.join(at.split())})")) from error

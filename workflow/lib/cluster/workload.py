"""The amount of data that a job reads: entries and tokens of a split."""

from dataclasses import dataclass
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json


@dataclass(frozen=True)
class Workload:
    """Number of entries, tokens of the longest one, and tokens of all."""

    entries: int
    longest: int
    tokens: int


UNKNOWN = Workload(0, 0, 0)
TEMPLATE_TOKENS = 64  # that a prompt style adds to an entry


def workload_of_tokens(path: Path) -> Workload:
    """Measure a tokenized split.

    Raises:
        FileNotFoundError: it is not made yet.
        UserError: it is damaged.
    """
    # Here, because a dry run should not wait for numpy.
    from workflow.lib.tokens.dataset import load_lengths

    lengths = load_lengths(path)
    return Workload(len(lengths), int(lengths.max()), int(lengths.sum()))


def workload_of_entries(path: Path) -> Workload:
    """Estimate prompts that are not tokenized: two bytes a token, a low figure for any language.

    Raises:
        FileNotFoundError: the entries are not made yet.
        UserError: they are damaged.
    """
    try:
        lengths = [
            TEMPLATE_TOKENS + len(f"{entry['instruction']}{entry.get('input', '')}".encode()) // 2
            for entry in read_json(path, made=True)
        ]
        return Workload(len(lengths), max(lengths), sum(lengths))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: no list of entries; delete it and run again") from error

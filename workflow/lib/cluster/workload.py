"""The amount of data that a job reads: entries and tokens of a split."""

import json
from dataclasses import dataclass
from pathlib import Path


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
    """
    import numpy as np  # here, because a dry run should not wait for it

    with np.load(path) as stored:
        lengths = np.diff(stored["offsets"])
    return Workload(len(lengths), int(lengths.max()), int(lengths.sum()))


def workload_of_entries(path: Path) -> Workload:
    """Estimate prompts that are not tokenized: two bytes a token, a low figure for any language.

    Raises:
        FileNotFoundError: the entries are not made yet.
    """
    entries = json.loads(path.read_text("utf-8"))
    lengths = [
        TEMPLATE_TOKENS + len(f"{entry['instruction']}{entry.get('input', '')}".encode()) // 2
        for entry in entries
    ]
    return Workload(len(lengths), max(lengths), sum(lengths))

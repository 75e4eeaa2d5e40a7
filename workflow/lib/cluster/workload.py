"""How much a job has to compute: entries and tokens of the split that it reads."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workload:
    """How many entries, how long the longest is, and how long all are together, in tokens."""

    entries: int
    longest: int
    tokens: int


UNKNOWN = Workload(0, 0, 0)
TEMPLATE_TOKENS = 64  # of what a prompt style writes around an entry


def workload_of_tokens(path: Path) -> Workload:
    """Of a tokenized split.

    Raises:
        FileNotFoundError: it is not there yet.
    """
    import numpy as np  # not when a Snakefile is read

    with np.load(path) as stored:
        lengths = np.diff(stored["offsets"])
    return Workload(len(lengths), int(lengths.max()), int(lengths.sum()))


def workload_of_entries(path: Path) -> Workload:
    """Of prompts that nobody has tokenized: two bytes a token is short in every script.

    Raises:
        FileNotFoundError: they are not there yet.
    """
    entries = json.loads(path.read_text("utf-8"))
    lengths = [
        TEMPLATE_TOKENS + len(f"{entry['instruction']}{entry.get('input', '')}".encode()) // 2
        for entry in entries
    ]
    return Workload(len(lengths), max(lengths), sum(lengths))

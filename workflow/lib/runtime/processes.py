"""The place of a process in its job, as the launcher sets it: rank, world size and store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Store(Protocol):
    """A key-value store that all processes of a job share, such as torch's TCPStore."""

    def set(self, key: str, value: str | bytes) -> None: ...

    def get(self, key: str) -> bytes: ...

    def add(self, key: str, amount: int) -> int: ...

    def check(self, keys: Sequence[str]) -> bool: ...


@dataclass(frozen=True)
class Worker:
    """A process of a job, numbered as by torchrun; by default the only one.

    Args:
        rank: its number among all processes, from 0.
        world_size: how many processes there are.
        local_rank: its number among those on its machine, from 0.
        local_world_size: how many there are on its machine.
        store: for messages between them; None for a single process.
        patience: seconds to wait for a process that does not answer.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    store: Store | None = None
    patience: float = 600


class NoAnswerError(Exception):
    """Raised when a process neither sent its results nor showed that it is still working."""

    def __init__(self, rank: int) -> None:
        super().__init__(f"process {rank} did not answer")
        self.rank = rank

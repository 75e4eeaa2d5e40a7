"""The processes that compute one job together, and what they tell each other."""

import pickle
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from workflow.lib.runtime.processes import NoAnswerError, Store, Worker

Item = TypeVar("Item")


def join_world(worker: Worker, device: torch.device) -> "World":
    """Connect to the other processes: over NCCL for tensors on GPUs, over gloo for others.

    Args:
        worker: rank and world size of this process.
        device: of this process.
    """
    if worker.world_size > 1:
        cuda = device.type == "cuda"
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=dist.PrefixStore("group", cast(dist.Store, worker.store)),
            rank=worker.rank,
            world_size=worker.world_size,
            timeout=timedelta(seconds=worker.patience),
            device_id=device if cuda else None,
        )
    return World(worker.rank, worker.world_size, worker.store, worker.patience)


class World:
    """The processes of a job as one of them sees it; by default it is the only one.

    Args:
        rank: this process's number, from 0. Only rank 0, the leader, writes and logs.
        world_size: how many processes there are.
        store: for messages between them.
        patience: seconds to wait for a process that does not answer.
    """

    def __init__(
        self, rank: int = 0, world_size: int = 1, store: Store | None = None, patience: float = 600
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.store = store
        self.patience = patience
        self.last_heartbeat = 0.0
        self.gathers = 0

    @property
    def is_leader(self) -> bool:
        """True for rank 0."""
        return self.rank == 0

    def shard(self, items: Sequence[Item]) -> list[Item]:
        """Return this rank's items: every world_size-th, from its rank on."""
        return list(items[self.rank :: self.world_size])

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sums over all ranks, the same in each; changed in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def any(self, here: bool) -> bool:
        """Return whether it is so in any rank, the same in each."""
        return bool(self.all_reduce(torch.tensor(here, dtype=torch.int32)))

    def broadcast(self, decision: bool) -> bool:
        """Return the leader's decision."""
        answer = torch.tensor([decision])
        dist.broadcast(answer, 0)
        return bool(answer)

    def heartbeat(self) -> None:
        """Show the others that this process is working, at most once a second."""
        if self.store and time.monotonic() - self.last_heartbeat >= 1:
            self.store.add(f"heartbeats {self.rank}", 1)
            self.last_heartbeat = time.monotonic()

    def gather(self, item: Item) -> list[Item]:
        """Return the items of all ranks to the leader, in order; the others get an empty list.

        The leader waits for each rank as long as its heartbeats continue.

        Raises:
            NoAnswerError: a rank's heartbeats stopped before it sent its item.
        """
        if self.store is None:
            return [item]
        self.gathers += 1
        if not self.is_leader:
            self.store.set(f"item {self.gathers} {self.rank}", pickle.dumps(item))
            return []
        return [item, *(self._receive(rank, self.store) for rank in range(1, self.world_size))]

    def _receive(self, rank: int, store: Store) -> Any:
        """Wait for the item of another rank."""
        key = f"item {self.gathers} {rank}"
        heartbeats, since = 0, time.monotonic()
        while not store.check([key]):
            if (now := store.add(f"heartbeats {rank}", 0)) != heartbeats:
                heartbeats, since = now, time.monotonic()
            if time.monotonic() - since > self.patience:
                raise NoAnswerError(rank)
            time.sleep(0.02)
        return pickle.loads(store.get(key))


SINGLE_PROCESS = World()

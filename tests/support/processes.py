"""Several processes at once, forked from this one, so that nothing is imported again."""

import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from workflow.lib.parallel.world import World, join_world
from workflow.lib.runtime.processes import Worker

FORK = multiprocessing.get_context("fork")
PATIENCE = 300.0  # seconds; this machine may be busy


def together(size: int, body: Callable[[World], Any], exitcode: int = 0) -> list[Any]:
    """Call a function in processes that are connected over gloo, if they are several.

    Args:
        size: how many.
        body: given the processes as one of them sees them.
        exitcode: with which all of them should end.

    Returns:
        what the function returned in each, if they did not end before.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for rank in range(size):
            reader, writer = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_member, args=(rank, size, folder, body, writer))
            process.start()
            writer.close()
            started.append((process, reader))
        results = [pickle.loads(reader.recv_bytes()) for _, reader in started if exitcode == 0]
        for process, _ in started:
            process.join()
            assert process.exitcode == exitcode
    return results


def _member(rank: int, size: int, folder: str, body: Callable[[World], Any], writer: Any) -> None:
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # gloo greets
    worker = Worker()
    if size > 1:
        store = dist.FileStore(str(Path(folder) / "store"), size)
        worker = Worker(rank, size, rank, size, store, PATIENCE)
    result = body(join_world(worker, torch.device("cpu")))
    writer.send_bytes(pickle.dumps(result))
    if size > 1:
        dist.barrier()
        dist.destroy_process_group()

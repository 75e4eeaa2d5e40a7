"""One of several processes that compute a job: `python -m workflow.lib.parallel.worker FILE`.

torchrun starts it with its number in the environment; FILE is what `launch` wrote.
"""

import ctypes
import json
import os
import re
import signal
import sys
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import torch
import torch.distributed as dist

from workflow.lib.model.device import prepare_device
from workflow.lib.parallel.engine import Team, UnansweredError
from workflow.lib.parallel.notes import Note
from workflow.lib.runtime.errors import first_line
from workflow.lib.runtime.log import log_to, one_line
from workflow.lib.settings.computing import Computing

OTHERS_TIME = 5.0  # seconds in which all who wait for the same process should have noticed
CONNECTION = re.compile(
    "gloo|nccl|ProcessGroup|TCPStore|Connection (closed|reset|refused)|Timed out|Broken pipe",
    re.IGNORECASE,
)


def main(path: Path) -> None:
    """Do this process's part of the job; on an error leave a note and end with status 1."""
    description = json.loads(path.read_text("utf-8"))
    die_with(int(os.environ["AGENT_PID"]))
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank == 0:
        log_to(description["log"])
    computing = Computing(**description["computing"])
    store = None
    try:
        module, name = description["work"].split(":")
        work = getattr(import_module(module), name)
        place = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        device = prepare_device(computing, *place)
        patience = timedelta(seconds=computing.patience)
        store, *_ = next(dist.rendezvous("env://", timeout=patience))
        join(store, rank, size, device, patience)
        work(Team(rank, size, store, computing.patience), device, description["job"])
        dist.destroy_process_group()
    except Exception as error:
        note_of(error, rank, size, store).leave(path.parent)
        sys.stderr.flush()
        os._exit(1)  # without waiting for the others, who may be stuck


def join(
    store: dist.Store, rank: int, size: int, device: torch.device, patience: timedelta
) -> None:
    """Meet the other processes: over NCCL for what is on GPUs, over gloo for what is not."""
    cuda = device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=dist.PrefixStore("group", store),
        rank=rank,
        world_size=size,
        timeout=patience,
        device_id=device if cuda else None,
    )


def note_of(error: Exception, rank: int, size: int, store: dist.Store | None) -> Note:
    """What to say of an error: whose fault it was."""
    if isinstance(error, UnansweredError):
        return Note("waiting", rank, "waiting for its results", (error.rank,))
    if (line := one_line(error)) is not None:
        return Note("user", rank, line)
    if isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and CONNECTION.search(str(error))
    ):
        return Note("waiting", rank, first_line(error), missing(rank, size, store))
    return Note("defect", rank, "".join(traceback.format_exception(error)).rstrip())


def missing(rank: int, size: int, store: dist.Store | None) -> tuple[int, ...]:
    """Who of the others does not notice that somebody is missing, and so is the one."""
    others: list[int] = []
    with suppress(Exception):  # the store may be gone, too
        store.set(f"waiting {rank}", "")
        until = time.monotonic() + OTHERS_TIME
        while True:
            others = [other for other in range(size) if not store.check([f"waiting {other}"])]
            if len(others) <= 1 or time.monotonic() > until:
                break
            time.sleep(0.05)
    return tuple(others)


def die_with(agent: int) -> None:
    """Have Linux end this process when the one that started it ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != agent:  # it was quicker
            os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

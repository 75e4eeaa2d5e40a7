"""One of several processes of a job: `python -m workflow.lib.parallel.launching.worker FILE`.

torchrun starts it with its rank in the environment; FILE is what `start` wrote.
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

import torch.distributed as dist

from workflow.lib.parallel.launching.notes import AGAIN, Note
from workflow.lib.runtime.errors import first_line, is_mistake, one_line
from workflow.lib.runtime.log import log_to
from workflow.lib.runtime.processes import NoAnswerError, Store, Worker

SECONDS_TO_REPORT = 5.0  # in which all ranks that wait for the same one should have failed
CONNECTION = re.compile(
    "gloo|nccl|ProcessGroup|TCPStore|Connection (closed|reset|refused)|Timed out|Broken pipe",
    re.IGNORECASE,
)


def main(path: Path) -> None:
    """Run the job in this process; on an error leave a note and end with status 1."""
    description = json.loads(path.read_text("utf-8"))
    die_with(int(os.environ["AGENT_PID"]))
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank == 0:
        log_to(description["log"])
    store = None
    try:
        module, name = description["class"].split(":")
        job = getattr(import_module(module), name).model_validate(description["job"])
        local = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        patience = description["meeting"]["patience"]
        store, *_ = next(dist.rendezvous("env://", timeout=timedelta(seconds=patience)))
        job.run(Worker(rank, world_size, *local, store, patience))
        if dist.is_initialized():
            dist.destroy_process_group()
    except KeyboardInterrupt:
        Note("passing", rank, f"interrupted; {AGAIN}").leave(path.parent)
        os._exit(130)
    except Exception as error:
        note_of_error(error, rank, world_size, store).leave(path.parent)
        sys.stderr.flush()
        os._exit(1)  # without waiting for the other ranks, which may hang


def note_of_error(error: Exception, rank: int, world_size: int, store: Store | None) -> Note:
    """Describe an error by what caused it: another process, the user or the pipeline."""
    if isinstance(error, NoAnswerError):
        return Note("waiting", rank, "waiting for its results", (error.rank,))
    if (line := one_line(error)) is not None:
        return Note("user" if is_mistake(error) else "passing", rank, line)
    if isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and CONNECTION.search(str(error))
    ):
        return Note("waiting", rank, first_line(error), silent_ranks(rank, world_size, store))
    return Note("defect", rank, "".join(traceback.format_exception(error)).rstrip())


def silent_ranks(rank: int, world_size: int, store: Store | None) -> tuple[int, ...]:
    """Return the ranks that did not report a lost connection: they are dead or hung."""
    others: list[int] = []
    if store is None:
        return ()
    with suppress(Exception):  # the store may be gone, too
        store.set(f"waiting {rank}", "")
        until = time.monotonic() + SECONDS_TO_REPORT
        while True:
            others = [other for other in range(world_size) if not store.check([f"waiting {other}"])]
            if len(others) <= 1 or time.monotonic() > until:
                break
            time.sleep(0.05)
    return tuple(others)


def die_with(agent: int) -> None:
    """Have Linux kill this process as soon as the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != agent:  # it ended before the call
            os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

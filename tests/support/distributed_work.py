"""Jobs of test_launch.py: what its processes do, most of them failing in their own way."""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from pydantic import BaseModel

from workflow.lib.model.device import prepare_device
from workflow.lib.parallel.world import join_world
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.runtime.processes import Worker
from workflow.lib.settings.computing import Computing


class Work(BaseModel):
    """A job that calls a function of this module, by name."""

    name: str
    folder: Path
    computing: Computing

    def run(self, worker: Worker) -> None:
        """Do the part of one process."""
        device = prepare_device(self.computing, worker.local_rank, worker.local_world_size)
        globals()[self.name](join_world(worker, device), device, self.folder)


def arrive(world, folder):
    """Leave this process's id, and wait for all others."""
    (folder / f"{world.rank}.here").write_text(str(os.getpid()))
    (folder / f"{world.rank}.here").rename(folder / f"{world.rank}.pid")
    world.all_reduce(torch.ones(1))


def add(world, device, folder):
    """Add up the ranks, from 1, and say the sum."""
    total = world.all_reduce(torch.tensor([float(world.rank + 1)]))
    log.info("the sum is %d, says %d, on %s", int(total), world.rank, device.type)
    found = world.gather((world.rank, torch.get_num_threads(), os.getpid()))
    if world.is_leader:
        log.info("%s", [threads for _, threads, _ in found])


def user_error(world, device, folder):
    arrive(world, folder)
    if world.rank == 1:
        raise UserError("a thing is wrong; put it right")
    world.all_reduce(torch.ones(1))


def user_error_everywhere(world, device, folder):
    arrive(world, folder)
    raise UserError("a thing is wrong; put it right")


def defect(world, device, folder):
    arrive(world, folder)
    if world.rank == 1:
        raise ZeroDivisionError("oh")
    world.all_reduce(torch.ones(1))


def killed(world, device, folder):
    arrive(world, folder)
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    world.all_reduce(torch.ones(1))


def mute(world, device, folder):
    arrive(world, folder)
    if world.rank == 1:
        print("some last words", file=sys.stderr, flush=True)
        os._exit(3)
    world.all_reduce(torch.ones(1))


def hung(world, device, folder):
    """Hang while the others wait in the midst of a computation."""
    arrive(world, folder)
    if world.rank == 1:
        time.sleep(3600)
    world.all_reduce(torch.ones(1))


def hung_results(world, device, folder):
    """Hang while the others wait for the results of this one."""
    arrive(world, folder)
    if world.rank == 1:
        time.sleep(3600)
    world.gather(world.rank)


def slow_results(world, device, folder):
    """Slower than the others' patience, but at work."""
    arrive(world, folder)
    if world.rank == 1:
        until = time.monotonic() + 2.5 * world.patience
        while time.monotonic() < until:
            time.sleep(0.05)
            world.heartbeat()
    log.info("collected %s", world.gather(world.rank))


def endless(world, device, folder):
    arrive(world, folder)
    while True:
        world.all_reduce(torch.ones(1))

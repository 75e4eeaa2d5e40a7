"""What the processes of test_launch.py do: each function fails in its own way."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log


def arrive(team, job):
    """Leave this process's id, and wait for all others."""
    folder = Path(job["folder"])
    (folder / f"{team.rank}.here").write_text(str(os.getpid()))
    (folder / f"{team.rank}.here").rename(folder / f"{team.rank}.pid")
    team.sum(torch.ones(1))


def add(team, device, job):
    """Add up the ranks, from 1, and say the sum."""
    total = team.sum(torch.tensor([float(team.rank + 1)]))
    log.info("the sum is %d, says %d, on %s", int(total), team.rank, device.type)
    found = team.collected((team.rank, torch.get_num_threads(), os.getpid()))
    if team.leads:
        log.info("%s", [threads for _, threads, _ in found])


def user_error(team, device, job):
    arrive(team, job)
    if team.rank == 1:
        raise UserError("a thing is wrong; put it right")
    team.sum(torch.ones(1))


def user_error_everywhere(team, device, job):
    arrive(team, job)
    raise UserError("a thing is wrong; put it right")


def defect(team, device, job):
    arrive(team, job)
    if team.rank == 1:
        raise ZeroDivisionError("oh")
    team.sum(torch.ones(1))


def killed(team, device, job):
    arrive(team, job)
    if team.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    team.sum(torch.ones(1))


def mute(team, device, job):
    arrive(team, job)
    if team.rank == 1:
        print("some last words", file=sys.stderr, flush=True)
        os._exit(3)
    team.sum(torch.ones(1))


def hung(team, device, job):
    """Hang while the others wait in the midst of a computation."""
    arrive(team, job)
    if team.rank == 1:
        time.sleep(3600)
    team.sum(torch.ones(1))


def hung_results(team, device, job):
    """Hang while the others wait for the results of this one."""
    arrive(team, job)
    if team.rank == 1:
        time.sleep(3600)
    team.collected(team.rank)


def slow_results(team, device, job):
    """Slower than the others' patience, but at work."""
    arrive(team, job)
    if team.rank == 1:
        until = time.monotonic() + 2.5 * team.patience
        while time.monotonic() < until:
            time.sleep(0.05)
            team.beat()
    log.info("collected %s", team.collected(team.rank))


def endless(team, device, job):
    arrive(team, job)
    while True:
        team.sum(torch.ones(1))

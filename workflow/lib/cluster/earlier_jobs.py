"""Slurm jobs that outlive the run that submitted them; a new run waits so that none runs twice."""

import getpass
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.printable import printable
from workflow.lib.runtime.slurm import ask_squeue, has_slurm

# States of jobs that run or will: pending, configuring, running, suspended, requeued (also held or
# in a special exit), signaling.
STATES = "PD,CF,R,S,ST,RQ,RH,RS,SI"
PAUSE = 15.0  # seconds between two calls of squeue
# Set to `none`, it says that no job of an earlier run is left, where squeue cannot be asked.
VARIABLE = "FINETUNING_EARLIER_JOBS"
LOGS = Path(".snakemake/slurm_logs")  # which Snakemake's Slurm executor makes


@dataclass(frozen=True)
class EarlierJob:
    """A job in Slurm's queue; `what` holds its rule and wildcards."""

    number: str
    user: str
    state: str
    what: str


def earlier_jobs(folder: Path) -> list[EarlierJob]:
    """Return the jobs of all users that Snakemake submitted from a folder; none without Slurm.

    Snakemake's Slurm executor writes rule and wildcards into a job's comment.

    Raises:
        UserError: squeue fails.
    """
    if not has_slurm():
        return []
    jobs = []
    same: dict[str, bool] = {}
    for number, user, state, comment, directory in ask_squeue("iuTkZ", f"--states={STATES}"):
        if not comment.startswith("rule_"):
            continue
        if directory not in same:
            same[directory] = is_same_folder(Path(directory), folder)
        if same[directory]:
            what = comment.removeprefix("rule_").replace("_wildcards_", " ")
            jobs.append(EarlierJob(number, user, state, what))
    return jobs


def is_same_folder(path: Path, folder: Path) -> bool:
    """Return whether two paths lead to the same folder: by links, or mounted in two places.

    A folder that is mounted twice over a network may have another device in each place. Its number
    and the time of its last change are the same.
    """
    if path == folder:
        return True
    try:
        one, other = path.stat(), folder.stat()
    except OSError:
        return False
    if one.st_ino != other.st_ino:
        return False
    return os.path.samestat(one, other) or one.st_ctime_ns == other.st_ctime_ns


def wait_for_earlier_jobs(folder: Path, submits: bool = False) -> None:
    """Wait until no job of an earlier run is left in a folder; list the jobs first.

    Args:
        submits: whether this run submits jobs to Slurm. One that does not asks as well, but if
            squeue fails, and no job was ever submitted from the folder, it goes on.

    Raises:
        UserError: squeue fails, so that nobody knows; or control-C was pressed.
    """
    if os.environ.get(VARIABLE) == "none":
        return
    try:
        jobs = earlier_jobs(folder)
    except UserError as error:
        if not (submits or (folder / LOGS).exists()):
            return
        raise UserError(
            f"{error}; so it is not known whether jobs of an earlier run are left in {folder}, "
            "which would be run twice; try again when Slurm answers or, if you are sure that there "
            f"are none, run the command with {VARIABLE}=none in front"
        ) from error
    if not jobs:
        return
    own = [job for job in jobs if job.user == getpass.getuser()]
    listed = "".join(
        f"\n  {job.number} {job.state} {printable(job.what)}"
        + ("" if job in own else f" (of {job.user})")
        for job in jobs
    )
    cancel = f"to cancel the jobs: scancel {' '.join(job.number for job in own)}"
    wait_for_listed(
        len(jobs), listed, cancel if own else "only their owners can cancel them",
        lambda: _wait(folder),
    )  # fmt: skip


def wait_for_listed(count: int, listed: str, cancel: str, wait: Callable[[], None]) -> None:
    """List the jobs of an earlier run and wait for them.

    Args:
        listed: a line for each of them, each with a line break before it.
        cancel: how they could be canceled.
        wait: returns when none is left.

    Raises:
        UserError: control-C was pressed.
    """
    print(
        f"{count} jobs of an earlier run are still running in this folder:{listed}\n"
        "Waiting until they end, so that none is run twice. Control-C stops only the waiting; "
        + cancel,
        file=sys.stderr,
        flush=True,
    )
    try:
        wait()
    except KeyboardInterrupt:
        raise UserError("stopped waiting; the jobs of the earlier run continue") from None


def _wait(folder: Path) -> None:
    """Return when squeue says that no job is left; while it fails, jobs may be left."""
    failed = False
    while True:
        try:
            if not earlier_jobs(folder):
                return
        except UserError as error:
            if not failed:
                print(f"{error}; asking again every {PAUSE:g} s", file=sys.stderr, flush=True)
            failed = True
        time.sleep(PAUSE)

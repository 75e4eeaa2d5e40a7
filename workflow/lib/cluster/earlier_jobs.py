"""Slurm jobs that outlive the run that submitted them; a new run waits so that none runs twice."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.printable import printable

# States of jobs that run or will: pending, configuring, running, suspended, requeued (also held or
# in a special exit), signaling.
STATES = "PD,CF,R,S,ST,RQ,RH,RS,SI"
PAUSE = 15.0  # seconds between two calls of squeue


@dataclass(frozen=True)
class EarlierJob:
    """A job in Slurm's queue; `what` holds its rule and wildcards."""

    number: str
    state: str
    what: str


def earlier_jobs(folder: Path) -> list[EarlierJob]:
    """Return the jobs that Snakemake submitted from a folder; none without Slurm.

    Snakemake's Slurm executor writes rule and wildcards into a job's comment.
    """
    if shutil.which("squeue") is None:
        return []
    done = subprocess.run(
        ["squeue", "--me", "--noheader", f"--states={STATES}", "--format=%i|%T|%k|%Z"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    jobs = []
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        number, state, comment, directory = line.split("|", 3)
        if comment.startswith("rule_") and Path(directory) == folder:
            what = comment.removeprefix("rule_").replace("_wildcards_", " ")
            jobs.append(EarlierJob(number, state, what))
    return jobs


def wait_for_earlier_jobs(folder: Path) -> None:
    """Wait until no job of an earlier run is left in a folder; list the jobs first.

    Raises:
        UserError: control-C was pressed.
    """
    if not (jobs := earlier_jobs(folder)):
        return
    numbers = " ".join(job.number for job in jobs)
    listed = "".join(f"\n  {job.number} {job.state} {printable(job.what)}" for job in jobs)
    print(
        f"{len(jobs)} jobs of an earlier run are still running in this folder:{listed}\n"
        "Waiting until they end, so that none is run twice. Control-C stops only the waiting; "
        f"to cancel the jobs: scancel {numbers}",
        file=sys.stderr,
        flush=True,
    )
    try:
        while earlier_jobs(folder):
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        raise UserError("stopped waiting; the jobs of the earlier run continue") from None

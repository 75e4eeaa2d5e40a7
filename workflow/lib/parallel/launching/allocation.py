"""The nodes of a Slurm job, as Slurm knows them."""

import os
import re
import subprocess

from workflow.lib.parallel.launching.notes import AGAIN
from workflow.lib.runtime.errors import UserError


def nodes_of_job() -> dict[str, str]:
    """Return the address of each node of the job that this process is in; empty without Slurm.

    Slurm is asked, because its executor for Snakemake hides most of a job's variables.

    Raises:
        UserError: Slurm does not answer, or the job is part of an array.
    """
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        raise UserError(  # in an array Slurm's executor has every task run the first one's work
            "jobs of several nodes cannot be submitted as an array; leave their rules out of "
            "slurm-array-jobs in the profile"
        )
    if not (job := os.environ.get("SLURM_JOB_ID")):
        return {}
    names = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%N")
    return addresses(_ask("scontrol", "--oneliner", "show", "node", names))


def addresses(answer: str) -> dict[str, str]:
    """Return names and addresses from what `scontrol --oneliner show node` prints."""
    return dict(re.findall(r"^NodeName=(\S+) .*?\bNodeAddr=(\S+)", answer, re.MULTILINE))


def _ask(*command: str) -> str:
    """Return what a command of Slurm prints."""
    what = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"it ended with status {error.returncode}"
        raise UserError(f"{what}: {said.splitlines()[-1]}; {AGAIN}") from error
    except OSError as error:
        raise UserError(f"{what}: {error.strerror}; {AGAIN}") from error
    return done.stdout.strip()

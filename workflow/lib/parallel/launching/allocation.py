"""The nodes of a Slurm job, as Slurm knows them."""

import os
import re

from workflow.lib.parallel.launching.notes import AGAIN
from workflow.lib.runtime.errors import PassingError, UserError
from workflow.lib.runtime.slurm import ask_slurm, ask_squeue


def nodes_of_job() -> dict[str, str]:
    """Return the address of each node of the job that this process is in; empty without Slurm.

    Slurm is asked, because its executor for Snakemake hides most of a job's variables.

    Raises:
        PassingError: Slurm does not answer.
        UserError: the job is part of an array.
    """
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        raise UserError(  # in an array Slurm's executor has every task run the first one's work
            "jobs of several nodes cannot be submitted as an array; leave their rules out of "
            "slurm-array-jobs in the profile"
        )
    if not (job := os.environ.get("SLURM_JOB_ID")):
        return {}
    try:
        names = ",".join(nodes for (nodes,) in ask_squeue("N", f"--jobs={job}"))
        answer = ask_slurm("scontrol", "--oneliner", "show", "node", names) if names else []
    except UserError as error:
        raise PassingError(f"{error}; {AGAIN}") from error
    return addresses("\n".join(answer))


def addresses(answer: str) -> dict[str, str]:
    """Return names and addresses from what `scontrol --oneliner show node` prints."""
    return dict(re.findall(r"^NodeName=(\S+) .*?\bNodeAddr=(\S+)", answer, re.MULTILINE))

"""Questions to Slurm's controller, which every Slurm has, with or without accounting."""

import shutil
import subprocess

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.names import in_one_line

PATIENCE = 100  # seconds; Slurm's commands ask a busy controller again for a while themselves
SEPARATOR = "\x1f"  # no character of a folder or a comment


def has_slurm() -> bool:
    """Return whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None


def ask_squeue(columns: str, *options: str, patience: float | None = None) -> list[list[str]]:
    """Return the cells of squeue's lines.

    Args:
        columns: their letters, as squeue's manual has them.
        options: which jobs to show.
        patience: seconds to wait for an answer; PATIENCE if not given.

    Raises:
        UserError: squeue fails, for example because the controller cannot be reached.
    """
    layout = SEPARATOR.join(f"%{letter}" for letter in columns)
    answer = ask_slurm("squeue", "--noheader", f"--format={layout}", *options, patience=patience)
    return [cells for line in answer if len(cells := line.split(SEPARATOR)) == len(columns)]


def ask_slurm(program: str, *arguments: str, patience: float | None = None) -> list[str]:
    """Return the lines that a command of Slurm prints.

    Args:
        patience: seconds to wait for an answer; PATIENCE if not given.

    Raises:
        UserError: it fails, for example because the controller cannot be reached.
    """
    patience = PATIENCE if patience is None else patience
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=patience,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(f"{program} did not answer within {patience:g} s") from None
    except OSError as error:
        raise UserError(f"{program} cannot be started: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(in_one_line(f"{program} fails: {said[-1] if said else done.returncode}"))
    return done.stdout.decode("utf-8", "surrogateescape").splitlines()


def states_of_job(job: str, patience: float | None = None) -> list[str] | None:
    """Return the states that Slurm gives for a job, one for each of its tasks.

    Returns:
        none if Slurm has forgotten the job; None if it cannot be asked.
    """
    options = ("--states=all", f"--jobs={job}")
    try:
        return [state for (state,) in ask_squeue("T", *options, patience=patience)]
    except UserError as error:
        return [] if "Invalid job id" in str(error) else None

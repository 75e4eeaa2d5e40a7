"""Jobs of profiles/cluster-generic that outlive their run; a new run waits for their end."""

import subprocess
import time
from pathlib import Path

from workflow.lib.cluster.earlier_jobs import wait_for_listed
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.printable import printable

JOBS = Path(".snakemake/cluster_generic")  # submit.sh and status.sh keep their files there
PAUSE = 15.0  # seconds between two rounds of questions


def generic_jobs(folder: Path) -> dict[str, str]:
    """Return numbers and names of the jobs of a folder that have not ended, as status.sh says.

    Raises:
        UserError: status.sh is gone or fails.
    """
    unfinished = {}
    for path in sorted((folder / JOBS).glob("*.submitted")):
        name = path.read_text("utf-8", "replace").strip()
        try:
            done = subprocess.run(
                [scripts(folder) / "status.sh", path.stem],
                cwd=folder, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserError(
                f"it is not known whether job {path.stem} of an earlier run still runs: {error}; "
                f"restore that file, or delete {path} if the job has ended"
            ) from error
        if done.stdout.strip() not in ("success", "failed"):
            unfinished[path.stem] = name
    return unfinished


def scripts(folder: Path) -> Path:
    """Return the folder of the profile that the jobs of a folder were submitted with."""
    return Path((folder / JOBS / "scripts").read_text("utf-8").strip())


def wait_for_generic_jobs(folder: Path) -> None:
    """Wait until no job of an earlier run is left in a folder; list the jobs first.

    Raises:
        UserError: status.sh cannot be asked, or control-C was pressed.
    """
    if not (jobs := generic_jobs(folder)):
        return
    listed = "".join(f"\n  {number} {printable(name)}" for number, name in jobs.items())
    cancel = f"cd {folder} && {scripts(folder) / 'cancel.sh'} {' '.join(jobs)}"

    def wait() -> None:
        while generic_jobs(folder):
            time.sleep(PAUSE)

    wait_for_listed(len(jobs), listed, f"to cancel the jobs: {cancel}", wait)

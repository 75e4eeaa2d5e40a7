"""A project whose heavy jobs are submitted to the cluster."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.cluster.access import Access
from tests.support.project import Outcome, Project, run_command
from workflow.lib.cluster.estimate import asked_for, finetune_needs
from workflow.lib.cluster.workload import workload_of_tokens
from workflow.lib.model.shape import shape_of_weights
from workflow.lib.settings.cluster import JobResources
from workflow.lib.settings.recipe import Recipe

FIRST_CHECK = 1  # seconds; those that follow an empty one come ever later
HOLDING = """

def _save_and_hold(checkpoint, state, save=Checkpoint.save):
    save(checkpoint, state)
    while checkpoint.path.with_name("hold").exists():
        time.sleep(0.05)


Checkpoint.save = _save_and_hold
"""


class Submitted(Project):
    """A project in a folder that the cluster shares, and the runs that a user starts on it.

    Args:
        cluster: that its jobs are submitted to.
        user: who runs it, and to whom the folder should belong.
    """

    profile = "profiles/slurm"
    options = ("--slurm-init-seconds-before-status-checks", str(FIRST_CHECK))

    def __init__(self, folder: Path, cluster: Access, user: str = "root") -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.user = user
        self.runs: list[subprocess.Popen] = []

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", "--workflow-profile", self.profile,
            "--quiet", "host", *self.options,
            *(arguments or ("results/scores.csv",)),
            "--configfile", "overlay.yaml",
        ]  # fmt: skip

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> Outcome:
        return run_command(self._there(arguments, environment), self.folder)

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
        """Start a run that goes on beside the test; what it says is in `said`."""
        with self.path("said.txt").open("w") as output:
            run = subprocess.Popen(
                self._there(arguments, environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.runs.append(run)
        return run

    def said(self) -> str:
        """Return what the last run that was started has said so far."""
        return self.path("said.txt").read_text()

    def kill(self) -> None:
        """Kill the runs that still go on; their jobs are left alone."""
        for run in self.runs:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()

    def jobs(self) -> list[tuple[str, str]]:
        """Return number and rule with wildcards of every job that was submitted from here."""
        jobs = self.cluster.jobs("JobID", "Comment", "WorkDir")
        names = [
            (int(number), re.sub("_-[0-9a-f]{8}$", "", comment[len("rule_") :]))
            for number, comment, where in jobs
            if where == str(self.folder)
        ]
        return [(str(number), name.replace("_wildcards_", " ")) for number, name in sorted(names)]

    def numbers(self, what: str) -> list[str]:
        """Return the jobs of one rule and its wildcards, in the order they were submitted in."""
        return [number for number, name in self.jobs() if name == what]

    def request_of_quick(self) -> dict[str, int]:
        """Return what the formula requests for finetuning `tiny-a` by the recipe `quick`."""
        shape = shape_of_weights(self.kept("gpt2/tiny-a") / "model.safetensors")
        data = workload_of_tokens(self.path("results/tokens/small-world/few/alpaca/train.npz"))
        recipe = Recipe(dataset="few", training={"epochs": 1, "learning_rate": 1e-3})
        return asked_for(finetune_needs(shape, recipe, data), JobResources())

    def make_holdable(self) -> None:
        """Let finetunings wait after a checkpoint while a file named `hold` lies beside it."""
        with self.path("workflow/lib/training/checkpoint.py").open("a") as module:
            module.write(HOLDING)

    def hold(self, *variants: str) -> list[Path]:
        """Have finetunings wait after their next checkpoint; their folders."""
        folders = [self.path(f"results/{variant}") for variant in variants]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hold").touch()
        return folders

    def _there(self, arguments: tuple[str, ...], environment: dict[str, str] | None) -> list[str]:
        return self.cluster.command(
            *self.command(*arguments),
            user=self.user,
            folder=self.folder,
            environment=environment,
        )

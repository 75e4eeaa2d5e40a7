"""What ends badly on a real Slurm: the console says so in one line, and the run goes on or ends.

All as a user sees it, with the profile's short console. A finetuning waits after a checkpoint until
a file named `hold` beside it is gone; with one named `eat`, it takes memory until Slurm ends it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.machine import wait_for
from tests.support.project import Project, tiny_overlay

HOLDING = """

def _save_and_hold(checkpoint, state, save=Checkpoint.save):
    save(checkpoint, state)
    taken = []
    while checkpoint.path.with_name("eat").exists():
        taken.append(b"x" * 10**8)
        time.sleep(0.02)
    while checkpoint.path.with_name("hold").exists():
        time.sleep(0.05)


Checkpoint.save = _save_and_hold
"""
SAME = ("cancelled", "preempted", "lost", "hungry")  # all are the recipe `quick` by another name
Start = Callable[..., "Run"]


class Run:
    """A run with the profile that goes on beside the test.

    Args:
        cluster: where it submits to.
        project: with the comparison.
        recipes: whose finetunings are asked for.
        options: of Snakemake.
    """

    def __init__(
        self, cluster: Cluster, project: Project, recipes: tuple[str, ...], *options: str
    ) -> None:
        self.cluster, self.project = cluster, project
        self.output = project.path("said.txt")
        command = cluster.command(
            sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm",
            *(f"results/tiny-a/{recipe}/losses.csv" for recipe in recipes), *options,
            "--configfile", "overlay.yaml",
            folder=project.folder,
        )  # fmt: skip
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )

    def says(self, words: str) -> bool:
        return words in self.output.read_text()

    def errors(self, recipe: str) -> list[str]:
        """What the console says of a recipe's finetuning, without where the log is."""
        lines = self.output.read_text().splitlines()
        start = f"error: finetune tiny-a {recipe}: "
        return [
            line.removeprefix(start).rpartition("; ")[0] for line in lines if line.startswith(start)
        ]

    def numbers(self, recipe: str) -> list[str]:
        """Slurm's numbers of a recipe's jobs."""
        jobs = self.cluster.jobs("JobID", "Comment", "WorkDir")
        return [
            number
            for number, comment, folder in sorted(jobs, key=lambda job: int(job[0]))
            if comment == f"rule_finetune_wildcards_tiny-a_{recipe}"
            and folder == str(self.project.folder)
        ]

    def end(self) -> int:
        return self.process.wait(300)


@pytest.fixture(scope="module")
def computed() -> Iterator[Project]:
    """The recipe `quick` computed here, and everything that the others need."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # which the nodes see, unlike /tmp
        Path(name).chmod(0o755)
        yield compute(Path(name).resolve())


def compute(folder: Path) -> Project:
    overlay = tiny_overlay(folder / "sources", "http://localhost:11434")
    overlay |= {"threads": 1, "checkpoint_every": 1, "device": "cpu"}
    recipes = overlay["recipes"]
    for name in SAME:
        recipes[name] = {"extends": "quick"}
    recipes["mistaken"] = {"extends": "quick", "training": {"batch_size": 999}}
    recipes["refused"] = {"extends": "quick", "resources": {"finetune": {"mem_mb": 9_000_000}}}
    project = Project.create(folder / "project", overlay)
    with project.path("workflow/lib/training/checkpoint.py").open("a") as module:
        module.write(HOLDING)
    outcome = project.run("results/tiny-a/quick/losses.csv")
    assert outcome.code == 0, outcome.tail
    return project


@pytest.fixture
def start(computed) -> Iterator[Start]:
    """Start runs in copies of the project that a cluster shares; they end with the test."""
    runs: list[Run] = []

    def begin(cluster: Cluster, recipes: tuple[str, ...], *options: str, **files: str) -> Run:
        folder = Path(tempfile.mkdtemp(dir=cluster.shared))
        folder.chmod(0o755)
        project = computed.copy(folder / "project")
        for recipe, name in files.items():
            project.path(f"results/tiny-a/{recipe}").mkdir(parents=True)
            project.path(f"results/tiny-a/{recipe}/{name}").touch()
        runs.append(Run(cluster, project, recipes, *options))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def result_of(project: Project, recipe: str) -> tuple[bytes, bytes]:
    folder = project.path(f"results/tiny-a/{recipe}")
    return (folder / "losses.csv").read_bytes(), (folder / "model.pth").read_bytes()


@pytest.mark.parametrize("asked", ["squeue", "sacct"])
def test_what_slurm_takes_away_goes_on_from_its_checkpoint(asked, request, start, computed):
    """Preempted by CANCEL, cancelled, and lost with its node, each on a node of its own.

    Without accounting, where states come from squeue, and with it, where they come from sacct.
    """
    cluster = request.getfixturevalue("cluster" if asked == "squeue" else "accounted")
    before = cluster.calls()
    names = ("cancelled", "preempted", "lost")
    run = start(
        cluster, names, "--slurm-status-command", asked, "--set-threads", "finetune=16",
        "--default-resources", "slurm_partition='preempt-cancel'", **dict.fromkeys(names, "hold"),
    )  # fmt: skip
    folders = {name: run.project.path(f"results/tiny-a/{name}") for name in names}
    wait_for(lambda: all((folder / "checkpoint.pt").exists() for folder in folders.values()))
    jobs = {name: run.numbers(name)[0] for name in names}
    [node] = cluster.nodes_of(jobs["lost"])
    cluster.crash(node)
    cluster.declare_lost(node)
    cluster.preempt(jobs["preempted"])
    cluster.ask("scancel", jobs["cancelled"])
    wait_for(lambda: cluster.state(jobs["preempted"]) == "PREEMPTED")
    for folder in folders.values():
        (folder / "hold").unlink()
    cluster.boot(node)
    assert run.end() == 0, run.output.read_text() + cluster.log()

    assert run.errors("cancelled") == [f"it was cancelled [job {jobs['cancelled']}; attempt 1 of 3"]
    assert run.errors("preempted") == [
        f"it was preempted by a job of higher priority [job {jobs['preempted']}; submitted again"
    ]
    assert run.errors("lost") == []  # Slurm starts it again
    assert {name: len(run.numbers(name)) for name in names} == {
        "cancelled": 2, "preempted": 2, "lost": 1
    }  # fmt: skip
    again = [cluster.details(run.numbers("preempted")[n])["TimeLimit"] for n in (0, 1)]
    assert again[0] == again[1]  # it does not count as an attempt
    for name in names:
        record = json.loads((folders[name] / "training.json").read_text())
        assert record["resumed_at"][0] >= 1
        assert result_of(run.project, name) == result_of(computed, "quick")
    assert "invalid option" not in run.output.read_text()
    assert ((cluster.calls() - before)["sacct"] > 2) == (asked == "sacct")  # 2 for the account


def test_a_mistake_is_submitted_once_and_more_memory_is_asked_for_at_need(
    accounted, start, computed
):
    """With accounting, where states come from sacct."""
    names = ("mistaken", "refused", "hungry", "cancelled")
    run = start(
        accounted, names, "--slurm-status-command", "sacct", hungry="eat", cancelled="hold"
    )  # fmt: skip
    folder = run.project.path("results/tiny-a/cancelled")
    wait_for((folder / "checkpoint.pt").exists)
    [job] = run.numbers("cancelled")
    accounted.ask("scancel", job)
    (folder / "hold").unlink()
    wait_for(lambda: run.errors("hungry"))
    run.project.path("results/tiny-a/hungry/eat").unlink()
    assert run.end() == 1, run.output.read_text() + accounted.log()

    assert run.errors("cancelled") == [f"it was cancelled [job {job}; attempt 1 of 3"]
    [mistaken] = run.errors("mistaken")
    assert re.fullmatch(
        r"results/tokens/\S+/train.npz: 68 entries do not fill a batch of 999; lower "
        rf"training.batch_size of the recipe \[job {run.numbers('mistaken')[0]}; not tried again",
        mistaken,
    )
    assert len(run.numbers("mistaken")) == 1
    [line] = [line for line in run.output.read_text().splitlines() if "tiny-a refused: " in line]
    assert line.endswith("Requested node configuration is not available [not tried again]")
    first, *others = run.numbers("hungry")
    memory = "out of memory: it used more than it had requested"
    assert run.errors("hungry")[0] == f"{memory} [job {first}; attempt 1 of 3"
    asked = [int(accounted.details(n)["MinMemoryNode"].rstrip("M")) for n in (first, *others)]
    assert asked == sorted({*asked})
    for name in ("hungry", "cancelled"):
        assert result_of(run.project, name) == result_of(computed, "quick")
    assert "invalid option" not in run.output.read_text()


def test_a_silent_controller_ends_no_run_and_loses_no_job(cluster, start, computed):
    run = start(cluster, ("lost",), "--slurm-init-seconds-before-status-checks", "1", lost="hold")
    folder = run.project.path("results/tiny-a/lost")
    wait_for((folder / "checkpoint.pt").exists)
    cluster.stop_controller()
    try:
        wait_for(lambda: run.says("does not answer; it is asked again until it does"))
        (folder / "hold").unlink()
        wait_for((folder / "losses.csv").exists)
    finally:
        cluster.start_controller()
    assert run.end() == 0, run.output.read_text() + cluster.log()
    assert len(run.numbers("lost")) == 1
    assert result_of(run.project, "lost") == result_of(computed, "quick")


def test_a_job_that_is_cancelled_while_it_records_its_outputs_leaves_no_process(cluster, start):
    """Its scheduler holds a lock then, which the handler of the signal asks for."""
    run = start(cluster, (), "--version")
    run.end()
    run.project.edit(
        "workflow/rules/cluster.smk",
        "            await finished(self, job)\n",
        "            Path('recording').touch()\n"
        "            while Path('recording').exists():\n"
        "                time.sleep(0.05)\n"
        "            await finished(self, job)\n",
    )
    run = Run(cluster, run.project, ("lost",), "--retries", "0")
    wait_for(run.project.path("recording").exists)
    [job] = run.numbers("lost")
    [node] = cluster.nodes_of(job)
    cluster.ask("scancel", job)
    wait_for(lambda: cluster.state(job) == "CANCELLED")
    run.project.path("recording").unlink()
    here = str(run.project.folder)
    wait_for(
        lambda: not any(here in " ".join(line) for _, line in cluster.machines[node].processes())
    )
    assert run.end() == 1
    assert run.errors("lost") == [f"it was cancelled [job {job}; attempt 1 of 1"]

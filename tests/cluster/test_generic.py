"""profiles/cluster-generic on the real Slurm, in place of PBS, LSF and others.

Where something is to happen in the middle of a finetuning, that waits after a checkpoint until a
file named `hold` beside it is gone.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.machine import wait_for
from tests.support.cluster.submitted import Submitted
from tests.support.project import Project, tiny_overlay

MODEL = "results/tiny-a/quick"
SCORES = f"{MODEL}/overlap/scores.csv"


class Generic(Submitted):
    """A project whose heavy jobs are submitted with the generic profile, and soon looked after."""

    profile = "profiles/cluster-generic"
    options = ("--seconds-between-status-checks", "1")

    def called(self, name: str) -> list[str]:
        """Return the numbers of the jobs of that name, in the order they were submitted in."""
        found = [
            number
            for number, called, where in self.cluster.jobs("JobID", "Name", "WorkDir")
            if called == name and where == str(self.folder)
        ]
        return sorted(found, key=int)

    def finetunings(self) -> list[str]:
        return self.called("finetune.tiny-a.quick")


@pytest.fixture(scope="module")
def finished(cluster) -> tuple[Generic, Project]:
    """The small comparison by way of the profile, and the same computed here meanwhile."""
    folder = Path(tempfile.mkdtemp(dir=cluster.shared))
    overlay = tiny_overlay(folder / "sources", "http://localhost:11434")
    overlay["compare"] = {"models": ["tiny-a"], "recipes": ["quick"], "judges": ["overlap"]}
    overlay["recipes"]["pair"] = {"extends": "quick", "nodes": 2}
    overlay |= {"threads": 1, "checkpoint_every": 1}
    submitted = Generic(Project.create(folder / "submitted", overlay).folder, cluster)
    submitted.make_holdable()
    submitted.edit("profiles/cluster-generic/scheduler.sh", "PERIOD=15", "PERIOD=1")
    submitted.edit("profiles/cluster-generic/scheduler.sh", "PATIENCE=60", "PATIENCE=2")
    local = submitted.copy(folder / "local")
    here = subprocess.Popen(
        local.command(), cwd=local.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    outcome = submitted.run("results/scores.csv", "results/tiny-a/pair/losses.csv")
    said, _ = here.communicate()
    assert here.returncode == 0, said.decode()
    assert outcome.code == 0, outcome.tail + cluster.log()
    return submitted, local


@pytest.fixture
def project(finished, cluster, shared_folder) -> Iterator[Generic]:
    """A copy of what is finished, with another learning rate; runs left over end with the test."""
    shutil.copytree(finished[0].folder, shared_folder / "project", symlinks=True)
    project = Generic(shared_folder / "project", cluster)
    project.change(recipes__quick__training={"epochs": 1, "learning_rate": 2e-3})
    project.hold("tiny-a/quick")
    yield project
    project.kill()


def test_a_comparison_gives_the_bytes_of_a_local_run(cluster, finished):
    submitted, local = finished
    files = ("model.pth", "losses.csv", "samples.json", "responses.json", "scores.csv")
    here, there = local.contents(), submitted.contents()
    names = {name for name in here if name.endswith(files)}
    assert len(names) == 6
    assert {name: there[name][0] for name in names} == {name: here[name][0] for name in names}
    # Each job was submitted once, and nothing is left of the profile's notes but logs.
    [finetune] = submitted.finetunings()
    assert len(submitted.called("generate.tiny-a.quick")) == 1
    notes = submitted.path(".snakemake/cluster_generic")
    assert not [*notes.glob("*.submitted"), *notes.glob("*.exit")]
    assert (notes / "finetune.tiny-a.quick.log").exists()

    details = cluster.details(finetune)
    asked = submitted.request_of_quick()
    assert details["MinMemoryNode"] == f"{asked['mem_mb']}M"
    assert details["TimeLimit"] == f"00:{asked['runtime']:02}:00"
    assert details["CPUs/Task"] == "8"
    assert details["TresPerNode"] == "gres:gpu:1"


def test_two_nodes_compute_what_one_process_does(cluster, finished):
    submitted, local = finished
    [job] = submitted.called("finetune.tiny-a.pair")
    details = cluster.details(job)
    assert (details["NumNodes"], details["NumTasks"], details["CPUs/Task"]) == ("2", "2", "8")
    assert details["TresPerNode"] == "gres:gpu:1"
    record = json.loads(submitted.path("results/tiny-a/pair/training.json").read_text())
    assert record["processes"] == 2
    rows = [
        [float(value) for row in path.read_text().splitlines()[1:] for value in row.split(",")]
        for path in (
            submitted.path("results/tiny-a/pair/losses.csv"),
            local.path(f"{MODEL}/losses.csv"),
        )
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


def test_a_cancelled_job_is_tried_again_and_control_c_cancels(cluster, project):
    folder = project.path(MODEL)
    run = project.start(SCORES)
    wait_for((folder / "checkpoint.pt").exists)
    [first] = project.finetunings()
    cluster.ask("scancel", first)
    wait_for(lambda: len(project.finetunings()) == 2)
    second = project.finetunings()[1]
    memory = [int(cluster.details(n)["MinMemoryNode"].rstrip("M")) for n in (first, second)]
    assert "Missing files" not in project.said()  # it failed, and is not taken for finished
    assert memory[1] == pytest.approx(1.5 * memory[0], rel=0.01)
    wait_for(lambda: cluster.state(second) == "RUNNING")
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(60) != 0
    assert "Traceback" not in project.said(), project.said()
    wait_for(lambda: cluster.state(second) == "CANCELLED")

    (folder / "hold").unlink()
    outcome = project.run(SCORES)
    assert outcome.code == 0, outcome.tail
    assert json.loads((folder / "training.json").read_text())["resumed_at"]
    assert len(project.finetunings()) == 3


def test_a_run_that_is_killed_finds_its_jobs_again(cluster, project):
    folder = project.path(MODEL)
    run = project.start(SCORES)
    wait_for((folder / "checkpoint.pt").exists)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert project.run("--unlock", SCORES).code == 0
    run = project.start(SCORES)
    wait_for(lambda: "still running in this folder" in project.said())
    [job] = project.finetunings()
    assert f"\n  {job} finetune.tiny-a.quick\n" in project.said()
    (folder / "hold").unlink()
    assert run.wait(120) == 0, project.said()
    assert project.finetunings() == [job]
    assert json.loads((folder / "training.json").read_text())["resumed_at"] == []


def test_while_the_scheduler_cannot_be_asked_jobs_go_on(cluster, project):
    """They are neither submitted again nor taken for finished."""
    scheduler = "profiles/cluster-generic/scheduler.sh"
    project.edit(scheduler, "    squeue", "    [ ! -e down ] && squeue")
    run = project.start(SCORES)
    wait_for((project.path(MODEL) / "checkpoint.pt").exists)
    project.path("down").touch()
    wait_for(lambda: "cannot ask the scheduler" in project.said())
    project.path(f"{MODEL}/hold").unlink()
    [job] = project.finetunings()
    wait_for(lambda: cluster.state(job) == "COMPLETED")
    assert run.poll() is None
    project.path("down").unlink()
    assert run.wait(120) == 0, project.said()
    assert project.finetunings() == [job]

"""A folder that two users share, and finetunings that Slurm asks to end."""

import json
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from tests.support.cluster.files import USERS
from tests.support.cluster.machine import wait_for
from tests.support.cluster.submitted import Submitted
from tests.support.project import Project, one_error, tiny_overlay

TRAINED = "results/tiny-a/quick/losses.csv"


class OfAGroup(Submitted):
    """A project whose users let their group write."""

    umask = "002"

    def command(self, *arguments: str) -> list[str]:
        made = super().command(*arguments)
        return ["sh", "-c", f'umask {self.umask}; exec "$@"', "sh", *made]


@pytest.fixture
def alices(cluster, shared_folder) -> Iterator[OfAGroup]:
    """Alice's project in a folder of her group, which bob is in, too."""
    overlay = tiny_overlay(shared_folder / "sources", "http://localhost:11434")
    overlay["compare"] |= {"models": ["tiny-a"], "judges": ["overlap"]}
    overlay |= {"device": "cpu", "threads": 1, "checkpoint_every": 1}
    folder = Project.create(shared_folder / "project", overlay).folder
    project = OfAGroup(folder, cluster, "alice")
    project.make_holdable()
    cluster.give(shared_folder, "alice")
    for path in [shared_folder, *shared_folder.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWGRP)
    yield project
    project.kill()


def as_bob(project: OfAGroup) -> OfAGroup:
    """The same folder, used by bob."""
    return OfAGroup(project.folder, project.cluster, "bob")


def test_a_colleague_waits_for_jobs_of_the_folder_and_never_trains_beside_them(cluster, alices):
    bobs = as_bob(alices)
    variant = alices.path("results/tiny-a/quick")
    variant.mkdir(parents=True)
    (variant / "hold").touch()
    cluster.give(alices.path("results"), "alice")
    for path in (alices.path("results"), variant.parent, variant):
        path.chmod(0o775)
    run = alices.start(TRAINED)
    wait_for((variant / "checkpoint.pt").exists)
    [job] = alices.numbers("finetune tiny-a_quick")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    lock = variant / "checkpoint.pt.lock"
    holder = json.loads(lock.read_text())
    [node] = cluster.nodes_of(job)
    assert (holder["user"], holder["host"], holder["job"]) == ("alice", node, job)

    assert bobs.run("--unlock", TRAINED).code == 0
    run = bobs.start(TRAINED)
    wait_for(lambda: "still running in this folder" in bobs.said())
    bobs.kill()
    assert f"{job} RUNNING finetune tiny-a_quick (of alice)\n" in bobs.said()

    none = {"FINETUNING_EARLIER_JOBS": "none"}
    logs = alices.path("results/logs/finetune/tiny-a")
    before = (logs / "quick.log").read_text()
    outcome = bobs.run(TRAINED, environment=none)
    assert outcome.code != 0
    assert len(alices.numbers("finetune tiny-a_quick")) == 2, "it is not tried again"
    log = (logs / "quick.log").read_text()
    assert log.startswith(before), "the log of alice's job is kept"
    [said] = [line for line in log.splitlines() if line.startswith("error: ")]
    assert f"alice on {node} (process " in said
    assert f", Slurm job {job}) since " in said
    sign = f"if `squeue -j {job}` does not list that job"
    assert f"{sign}, delete {lock.relative_to(alices.folder)} and run again" in said
    assert json.loads(lock.read_text()) == holder

    run = bobs.start(TRAINED)
    wait_for(lambda: "still running in this folder" in bobs.said())
    (variant / "hold").unlink()
    assert run.wait(300) == 0, bobs.said()
    assert "Nothing to be done" in bobs.said()
    record = json.loads((variant / "training.json").read_text())
    assert record["resumed_at"] == []
    assert cluster.state(job) == "COMPLETED"
    assert not lock.exists()

    outcome = bobs.run("results/tiny-a/quick/overlap/scores.csv")
    assert outcome.code == 0, outcome.tail
    made = [path for name in ("results", "resources") for path in alices.path(name).rglob("*")]
    assert {path.stat().st_uid for path in made} >= {USERS["alice"], USERS["bob"]}
    for path in made:
        if not path.is_symlink():
            wanted = 0o775 if path.is_dir() else 0o664
            assert stat.S_IMODE(path.stat().st_mode) & 0o777 == wanted, path


def test_a_folder_that_only_its_owner_may_write_is_one_line_for_others(cluster, alices):
    alices.umask = "022"
    assert alices.run("results/data/few/train.json").code == 0
    for path in [alices.folder, *alices.folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~stat.S_IWGRP)
    said = one_error(as_bob(alices).run(TRAINED))
    assert "cannot be written to" in said


def test_a_finetuning_that_is_asked_to_end_writes_a_checkpoint_first(cluster, alices):
    """By scancel, and before the time limit; the next attempt goes on after the very last step.

    The same on two nodes, where Slurm signals the job's first process alone.
    """
    names = ("cancelled", "overtime", "pair")
    for seed, name in enumerate(names):
        training = {"seed": seed, "epochs": 3, "learning_rate": 1e-3}
        alices.change(**{f"recipes__{name}": {"extends": "quick", "training": training}})
    alices.change(recipes__pair__nodes=2)
    folders = dict(zip(names, alices.hold(*(f"tiny-a/{name}" for name in names)), strict=True))
    cluster.give(alices.folder, "alice")
    run = alices.start(
        *(f"results/tiny-a/{name}/losses.csv" for name in names), "--quiet", "host", "rules"
    )
    wait_for(lambda: all((folder / "checkpoint.pt").exists() for folder in folders.values()))
    jobs = {name: alices.numbers(f"finetune tiny-a_{name}")[0] for name in names}

    for name in ("overtime", "pair"):
        cluster.limit(jobs[name])
    cluster.ask("scancel", jobs["cancelled"])
    for name, folder in folders.items():
        log = alices.path(f"results/logs/finetune/tiny-a/{name}.log")
        wait_for(lambda log=log: "Interrupted; finishing this step" in log.read_text())
        (folder / "hold").unlink()
    assert run.wait(400) == 0, alices.said() + cluster.log()

    assert cluster.state(jobs["cancelled"]) == "CANCELLED"
    for name in ("overtime", "pair"):
        assert cluster.state(jobs[name]) == "FAILED"  # it ended itself, before the limit
    interrupted = "interrupted; run the same command again to go on"
    for name, cause in zip(names, ("it was cancelled", interrupted, interrupted), strict=True):
        [said] = [line for line in alices.said().splitlines() if f" tiny-a {name}: " in line]
        start = f"error: finetune tiny-a {name}: {cause} [job {jobs[name]}; attempt 1 of 3; "
        assert said.startswith(start)
    for name, folder in folders.items():
        assert len(alices.numbers(f"finetune tiny-a_{name}")) == 2
        record = json.loads((folder / "training.json").read_text())
        [step] = record["resumed_at"]
        assert 1 <= step <= 3  # the one that was held, and the one during which the signal came
        assert record["steps"] == 24
        assert not list(folder.glob("checkpoint.pt*"))

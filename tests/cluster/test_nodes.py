"""Recipes with `nodes: 2` on a real Slurm: what they get, what they compute, how they fail.

The first two nodes have Debian's habit: their names stand for 127.0.1.1, and nothing else is known.
"""

import csv
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.machine import wait_for
from tests.support.cluster.submitted import Submitted
from tests.support.project import Project, tiny_overlay

PAIR, LORA = "finetune tiny-a_pair", "finetune_lora tiny-a_lora"


class Nodes(Submitted):
    """A project with recipes for several nodes."""

    def log_of(self, rule: str, recipe: str, job: str) -> str:
        """Return what a job printed."""
        folder = f".snakemake/slurm_logs/rule_{rule}/tiny-a_{recipe}"
        return self.path(f"{folder}/{job}.log").read_text()

    def error_of(self, rule: str, recipe: str, job: str) -> str:
        """Return the one line of a job about what went wrong, and see that there is no other."""
        log = self.log_of(rule, recipe, job)
        assert "Traceback" not in log
        [line] = {line for line in log.splitlines() if line.startswith("error: ")}
        return line

    def is_held(self, recipe: str) -> bool:
        """Return whether a finetuning waits after a checkpoint."""
        return self.path(f"results/tiny-a/{recipe}/checkpoint.pt").exists()


def losses(project: Project, recipe: str) -> list[list[float]]:
    with project.path(f"results/tiny-a/{recipe}/losses.csv").open() as file:
        return [[float(value) for value in row] for row in list(csv.reader(file))[1:]]


def assert_same_losses(found: list[list[float]], expected: list[list[float]]) -> None:
    assert len(expected) >= 2
    for there, here in zip(found, expected, strict=True):
        assert there == pytest.approx(here, rel=1e-6)


def running(cluster: Cluster, job: str) -> list[str]:
    """Return the command lines of all that runs on a job's nodes."""
    nodes = [cluster.machines[node] for node in cluster.nodes_of(job)]
    return [" ".join(line) for node in nodes for _, line in node.processes()]


@pytest.fixture(scope="module")
def named(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with two nodes that know no name but their own, on 127.0.1.1."""
    for node in ("node1", "node2"):
        cluster.set_hosts(node, {node: "127.0.1.1"})
    yield cluster
    for node in ("node1", "node2"):
        cluster.set_hosts(node)


@pytest.fixture(scope="module")
def finished(named) -> Iterator[tuple[Nodes, Project, list[str]]]:
    """Two recipes on two nodes each, at once; the same here in one process; and their devices."""
    folder = Path(tempfile.mkdtemp(dir=named.shared))
    overlay = tiny_overlay(folder / "sources", "http://localhost:11434")
    overlay["compare"] = {"models": ["tiny-a"], "recipes": ["pair"], "judges": ["overlap"]}
    overlay["recipes"] |= {
        "pair": {"extends": "quick"},
        "lora": {"extends": "quick", "training": {"lora": {"rank": 4}}},
    }
    overlay |= {"threads": 2, "checkpoint_every": 1}
    local = Project.create(folder / "local", overlay)
    submitted = Nodes(local.copy(folder / "submitted").folder, named)
    submitted.change(recipes__pair__nodes=2, recipes__pair__gpus=2, recipes__lora__nodes=2)
    submitted.make_holdable()
    targets = ["results/tiny-a/pair/responses.json", "results/tiny-a/lora/losses.csv"]
    holds = submitted.hold("tiny-a/pair", "tiny-a/lora")
    run = submitted.start(*targets)
    try:
        wait_for(
            lambda: run.poll() is not None or all(map(submitted.is_held, ("pair", "lora"))), 600
        )
        assert run.poll() is None, submitted.said() + named.log()
        jobs = [number for what in (PAIR, LORA) for number in submitted.numbers(what)]
        details = [named.ask("scontrol", "show", "job", "--detail", job) for job in jobs]
        for held in holds:
            (held / "hold").unlink()
        assert local.run(*targets).code == 0
        assert run.wait(300) == 0, submitted.said() + named.log()
        yield submitted, local, details
    finally:
        submitted.kill()


def test_two_nodes_compute_what_one_process_does(finished):
    submitted, local, _ = finished
    for recipe, processes in (("pair", 4), ("lora", 2)):
        record = json.loads(submitted.path(f"results/tiny-a/{recipe}/training.json").read_text())
        assert record["processes"] == processes
        assert_same_losses(losses(submitted, recipe), losses(local, recipe))
    responses = "results/tiny-a/pair/responses.json"
    assert submitted.path(responses).read_bytes() == local.path(responses).read_bytes()


def test_each_node_gives_as_many_gpus_as_the_recipe_says(finished):
    """Seen while both jobs ran, at the same time."""
    _, _, details = finished
    assert len(details) == 2
    for text, gpus in zip(details, (2, 1), strict=True):
        assert "JobState=RUNNING" in text
        assert "NumNodes=2 NumCPUs=16 NumTasks=2 CPUs/Task=8" in text
        assert f"JOB_GRES=gpu:{2 * gpus}\n" in text
        devices = re.findall(r" Nodes=\S+ .* GRES=gpu:(\d)\(IDX", text)
        assert {*devices} == {str(gpus)}


def test_a_killed_process_and_scancel_cost_an_attempt_and_no_step(finished, named):
    """One run, three attempts: each goes on from the checkpoint of the one before."""
    submitted, local, _ = finished
    submitted.change(recipes__again={"extends": "quick", "nodes": 2})
    [folder] = submitted.hold("tiny-a/again")
    try:
        run = submitted.start("results/tiny-a/again/losses.csv")
        wait_for(lambda: submitted.is_held("again"))
        [job] = submitted.numbers("finetune tiny-a_again")
        nodes = named.nodes_of(job)
        began = time.monotonic()
        assert named.kill(nodes[1], "launching.worker") == 1
        wait_for(lambda: named.state(job) == "FAILED")
        assert time.monotonic() - began < 120  # the others would wait for 600 s
        assert re.fullmatch(
            rf"error: process [01] of 2 on {nodes[1]} was ended by SIGKILL, perhaps because memory "
            "ran out; run the same command again to go on",
            submitted.error_of("finetune", "again", job),
        )
        wait_for(lambda: len(submitted.numbers("finetune tiny-a_again")) == 2)
        job = submitted.numbers("finetune tiny-a_again")[1]
        wait_for(lambda: named.state(job) == "RUNNING")
        wait_for(lambda: "launching.worker" in str(running(named, job)))
        named.ask("scancel", job)
        wait_for(lambda: named.state(job) == "CANCELLED")
        wait_for(lambda: not any("launching" in line for line in running(named, job)))
        (folder / "hold").unlink()
        assert run.wait(300) == 0, submitted.said() + named.log()
    finally:
        submitted.kill()
    record = json.loads(submitted.path("results/tiny-a/again/training.json").read_text())
    assert record["resumed_at"]
    assert_same_losses(losses(submitted, "again"), losses(local, "pair"))


def test_nodes_that_do_not_reach_each_other_are_named(finished):
    """As when a user chooses an interface that the nodes do not share."""
    submitted, _, _ = finished
    submitted.change(recipes__apart={"extends": "quick", "nodes": 2}, patience=5)
    outcome = submitted.run(
        "results/tiny-a/apart/losses.csv", "--retries", "0",
        environment={"GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert outcome.code == 1, outcome.tail
    [job] = submitted.numbers("finetune tiny-a_apart")
    assert re.fullmatch(
        r"error: the nodes do not reach each other: from node\d, node\d cannot be reached at "
        r"127\.0\.0\.1, port \d+ \(Connection refused\); if the nodes share another network, set "
        "GLOO_SOCKET_IFNAME to its interface",
        submitted.error_of("finetune", "apart", job),
    )

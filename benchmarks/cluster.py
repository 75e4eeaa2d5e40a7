"""Overhead of a job on Slurm.

python -m benchmarks.cluster [--rounds 3]

Needs root, Debian's slurm-wlm and munge: starts a cluster in namespaces as tests/cluster does, then
generates the responses of one tiny model repeatedly, locally and as a job.
"""

import time
from argparse import ArgumentParser
from statistics import median

from benchmarks.common import machine
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.running import missing, running_cluster
from tests.support.cluster.submitted import Submitted
from tests.support.project import Project, tiny_overlay

TARGET = "results/tiny-a/quick/responses.json"


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if reason := missing():
        raise SystemExit(f"error: {reason}")
    print(machine())
    with running_cluster() as cluster:
        overlay = tiny_overlay(cluster.shared / "sources", "http://localhost:11434")
        project = Project.create(cluster.shared / "project", overlay)
        assert project.run(TARGET).code == 0
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            for label, took in _round(cluster, project).items():
                seconds.setdefault(label, []).append(took)
        for label, values in seconds.items():
            print(f"{label:44}{median(values):8.1f} s")


def _round(cluster: Cluster, project: Project) -> dict[str, float]:
    """Return the seconds of the same job, started in each way."""
    began = time.perf_counter()
    job = cluster.ask("sbatch", "--parsable", "--output=/dev/null", "--wrap=true")
    while cluster.state(job) != "COMPLETED":
        time.sleep(0.1)
    empty = time.perf_counter() - began
    here = _seconds(project)
    there = _seconds(Submitted(project.folder, cluster))
    job = max((number for (number,) in cluster.jobs("JobID")), key=int)
    elapsed = cluster.details(job)["RunTime"]
    minutes, ran = map(int, elapsed.split(":")[-2:])
    return {
        "an empty job, from sbatch to its end": empty,
        "a run of snakemake with one local job": here,
        "the same on Slurm": there,
        "of that, the job on its node": 60 * minutes + ran,
    }


def _seconds(project: Project) -> float:
    project.path(TARGET).unlink()
    began = time.perf_counter()
    assert project.run(TARGET).code == 0
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

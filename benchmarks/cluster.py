"""Overhead of a job on Slurm.

python -m benchmarks.cluster [--rounds 3]

Needs root, Debian's slurm-wlm and munge: starts a cluster of one node as tests/cluster does, then
generates the responses of one tiny model repeatedly, locally and as a job.
"""

import subprocess
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from statistics import median

from benchmarks.common import machine
from tests.support.project import Project, tiny_overlay
from tests.support.slurm import Cluster, missing, running_cluster

TARGET = "results/tiny-a/quick/responses.json"
SUBMIT = ("--workflow-profile", "profiles/slurm")
SOON = ("--slurm-init-seconds-before-status-checks", "1")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if reason := missing():
        raise SystemExit(f"error: {reason}")
    print(machine())
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        project = Project.create(
            folder / "project", tiny_overlay(folder / "sources", "http://localhost:11434")
        )
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
    here = _seconds(cluster, project, "--cores", "1")
    there = _seconds(cluster, project, *SUBMIT, *SOON)
    job = max((number for (number,) in cluster.jobs("JobID")), key=int)
    elapsed = cluster.details(job)["RunTime"]
    minutes, ran = map(int, elapsed.split(":")[-2:])
    return {
        "an empty job, from sbatch to its end": empty,
        "a run of snakemake with one local job": here,
        "the same on Slurm": there,
        "of that, the job on its node": 60 * minutes + ran,
    }


def _seconds(cluster: Cluster, project: Project, *arguments: str) -> float:
    project.path(TARGET).unlink()
    command = [*project.command(TARGET)[:3], *arguments, TARGET, "--configfile", "overlay.yaml"]
    began = time.perf_counter()
    subprocess.run(
        command, cwd=project.folder, env=cluster.environment, check=True, capture_output=True
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

"""Times of runs on Slurm: one short job, many variants, two nodes against one; questions to Slurm.

python -m benchmarks.cluster [job] [nodes] [long] [variants N ...]

Needs root, Debian's slurm-wlm and munge: starts a cluster of a login node and three nodes as
tests/cluster does, all on this machine, and submits with profiles/slurm as it is. Without
arguments: job, nodes, variants 12.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from benchmarks.common import machine
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.running import missing, running_cluster
from tests.support.project import Project, tiny_overlay

SUBMIT = ("--workflow-profile", "profiles/slurm")
LONG, WINDOW = 100, 300  # jobs, and seconds for which they are watched
RESPONSES = "results/tiny-a/quick/responses.json"


def main() -> None:
    wanted = sys.argv[1:] or ["job", "nodes", "variants", "12"]
    if reason := missing():
        raise SystemExit(f"error: {reason}")
    print(machine())
    with running_cluster(prefix="benchmark") as cluster:
        overlay = tiny_overlay(cluster.shared / "sources", "http://localhost:11434")
        overlay["compare"] = {"models": ["tiny-a"], "recipes": ["quick"], "judges": ["overlap"]}
        overlay |= {"threads": 1, "device": "cpu"}
        project = Project.create(cluster.shared / "project", overlay)
        _seconds(cluster, project, RESPONSES, "--cores", "1")
        if "job" in wanted:
            _one_job(cluster, project)
        if "nodes" in wanted:
            _nodes(cluster, project)
        if "long" in wanted:
            _long(cluster, project)
        for number in wanted[wanted.index("variants") + 1 :] if "variants" in wanted else ():
            _variants(cluster, project, int(number))


def _one_job(cluster: Cluster, project: Project) -> None:
    """Time the same job, generating eight responses, started in each way."""
    began = time.perf_counter()
    job = cluster.ask("sbatch", "--parsable", "--output=/dev/null", "--chdir=/", "--wrap=true")
    while cluster.state(job) != "COMPLETED":
        time.sleep(0.1)
    _report("an empty job, from sbatch to its end", time.perf_counter() - began)
    for label, arguments in (("without Slurm", ("--cores", "1")), ("through Slurm", SUBMIT)):
        project.path(RESPONSES).unlink()
        seconds = _seconds(cluster, project, RESPONSES, *arguments)
        _report(f"a run that generates 8 responses, {label}", seconds)
    _report("of that, the job on its node", _run_time(cluster))


def _nodes(cluster: Cluster, project: Project) -> None:
    """Time the same finetuning on one node and on two, gradients over gloo."""
    for nodes in (1, 2):
        training = {"epochs": 20, "learning_rate": 1e-3}
        recipe = {"extends": "quick", "training": training, "nodes": nodes}
        project.change(**{f"recipes__nodes-{nodes}": recipe})
        _seconds(cluster, project, f"results/tiny-a/nodes-{nodes}/losses.csv", *SUBMIT)
        _report(f"finetuning, 20 epochs of 68 entries, nodes: {nodes}", _run_time(cluster))


def _long(cluster: Cluster, project: Project) -> None:
    """Count the questions to Slurm while a hundred jobs go on, which sleep on their nodes."""
    targets = [f"results/tiny-a/{name}/losses.csv" for name in _compare(project, LONG)]
    options = ("--set-threads", "finetune=1", "--precommand", f"sleep {2 * WINDOW}")
    command = [sys.executable, "-m", "snakemake", *SUBMIT, *options, *targets]
    began, before = time.perf_counter(), cluster.calls()
    run = subprocess.Popen(
        cluster.command(*command, "--configfile", "overlay.yaml", folder=project.folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        while (cluster.calls() - before)["sbatch"] < LONG:
            time.sleep(1)
        _report(f"{LONG} long jobs, until all are submitted", time.perf_counter() - began)
        before = cluster.calls()
        time.sleep(WINDOW)
        asked = (cluster.calls() - before)["squeue"]
        states = Counter(state for (state,) in cluster.jobs("State", states="R,PD"))
    finally:
        os.killpg(run.pid, signal.SIGINT)  # which cancels the jobs
        run.wait()
    print(f"  then {asked} squeue in {WINDOW} s, with {dict(states)}", flush=True)


def _compare(project: Project, number: int) -> list[str]:
    """Have a project compare that many recipes of one model; their names."""
    names = [f"rate-{number}-{each}" for each in range(number)]
    for each, name in enumerate(names):
        training = {"epochs": 1, "learning_rate": (each + 1) * 1e-5}
        project.change(**{f"recipes__{name}": {"extends": "quick", "training": training}})
    project.change(compare__recipes=names, compare__max_runs=number)
    return names


def _variants(cluster: Cluster, project: Project, number: int) -> None:
    """Time a comparison of that many recipes of one model, and count the questions to Slurm."""
    _compare(project, number)
    before = cluster.calls()
    seconds = _seconds(cluster, project, "results/scores.csv", *SUBMIT)
    calls = cluster.calls() - before
    _report(f"{number} variants to scores.csv, {calls['sbatch']} jobs", seconds)
    print("  " + ", ".join(f"{count} {name}" for name, count in sorted(calls.items())))


def _seconds(cluster: Cluster, project: Project, target: str, *arguments: str) -> float:
    """Return the seconds that a run takes."""
    command = [sys.executable, "-m", "snakemake", *arguments, target]
    command += ["--configfile", "overlay.yaml"]
    began = time.perf_counter()
    done = cluster.run(*command, folder=project.folder, check=False, timeout=7200)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return time.perf_counter() - began


def _run_time(cluster: Cluster) -> float:
    """Return the seconds that the job submitted last ran."""
    job = max((number for (number,) in cluster.jobs("JobID")), key=int)
    hours, minutes, seconds = map(int, cluster.details(job)["RunTime"].split(":"))
    return 3600 * hours + 60 * minutes + seconds


def _report(label: str, seconds: Any) -> None:
    load = os.getloadavg()[0]
    print(f"{label:60}{seconds:8.1f} s   (load {load:.0f})", flush=True)


if __name__ == "__main__":
    main()

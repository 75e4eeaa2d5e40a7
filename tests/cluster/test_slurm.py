"""The pipeline on a real Slurm: what is asked for, what comes back, and what survives.

No test waits for a time to pass but for the one job that must run over its limit. Where something
is to happen in the middle of a finetuning, that waits after a checkpoint until a file named `hold`
beside it is gone.
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.machine import wait_for
from tests.support.cluster.submitted import FIRST_CHECK, Submitted
from tests.support.paths import ROOT
from tests.support.project import Project, tiny_overlay

MODELS = ("tiny-a", "tiny-b")


@pytest.fixture(scope="module")
def finished(cluster, request) -> tuple[Submitted, Project]:
    """The comparison by way of Slurm, and the same computed here meanwhile."""
    folder = Path(tempfile.mkdtemp(dir=cluster.shared))
    overlay = tiny_overlay(folder / "sources", "http://localhost:11434")
    overlay["compare"] |= {"judges": ["overlap"], "recipes": ["untuned", "quick"]}
    overlay["recipes"]["untuned"] = {"extends": "quick", "training": {"epochs": 0}}
    for number in range(request.config.getoption("--variants") // len(MODELS) - 2):
        overlay["recipes"][f"rate-{number}"] = {
            "extends": "quick", "training": {"learning_rate": (number + 1) * 1e-5}
        }  # fmt: skip
        overlay["compare"]["recipes"].append(f"rate-{number}")
    overlay |= {"threads": 1, "checkpoint_every": 1}
    submitted = Submitted(Project.create(folder / "submitted", overlay).folder, cluster)
    submitted.make_holdable()
    local = submitted.copy(folder / "local")
    recipes = overlay["compare"]["recipes"]
    wanted = [f"results/{m}/{r}/overlap/scores.csv" for m in MODELS for r in recipes]
    here = subprocess.Popen(
        local.command(*wanted), cwd=local.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    before, began = cluster.calls(), time.monotonic()
    outcome = submitted.run()
    calls = {"seconds": round(time.monotonic() - began), **(cluster.calls() - before)}
    submitted.path("calls.json").write_text(json.dumps(calls))
    said, _ = here.communicate()
    assert here.returncode == 0, said.decode()
    assert outcome.code == 0, outcome.tail + cluster.log()
    submitted.path("said.txt").write_text(outcome.text)
    return submitted, local


@pytest.fixture
def project(finished, cluster, shared_folder) -> Iterator[Submitted]:
    """A copy of what Slurm finished, to go on with; runs that are left over end with the test."""
    shutil.copytree(finished[0].folder, shared_folder / "project", symlinks=True)
    project = Submitted(shared_folder / "project", cluster)
    yield project
    project.kill()


def test_a_comparison_by_way_of_slurm_gives_the_bytes_of_a_local_run(finished):
    submitted, local = finished
    files = ("model.pth", "losses.csv", "samples.json", "responses.json", "scores.csv",
             "model.safetensors")  # fmt: skip
    here, there = local.contents(), submitted.contents()
    names = {name for name in here if name.endswith(files)}
    assert len(names) >= 5 * 4 + 2
    assert {name: there[name][0] for name in names} == {name: here[name][0] for name in names}


def test_every_heavy_job_went_to_slurm_once_and_nothing_else_did(cluster, finished):
    submitted, _ = finished
    recipes = {path.parent.name for path in submitted.path("results").glob("tiny-a/*/model.pth")}
    wanted = {f"convert_gpt2 {model}" for model in MODELS}
    wanted |= {f"{r} {m}_{c}" for r in ("finetune", "generate") for m in MODELS for c in recipes}
    assert Counter(name for _, name in submitted.jobs()) == Counter(wanted)
    for number, _ in submitted.jobs():
        assert f"SLURM jobid {number} " in submitted.said()


def test_jobs_ask_for_what_the_formula_says(cluster, finished):
    submitted, _ = finished
    [number] = submitted.numbers("finetune tiny-a_quick")
    details = cluster.details(number)
    asked = submitted.request_of_quick()
    assert details["MinMemoryNode"] == f"{asked['mem_mb']}M"
    assert details["TimeLimit"] == f"00:{asked['runtime']:02}:00"
    assert details["CPUs/Task"] == "8"
    assert details["TresPerJob"] == "gres:gpu:1"
    assert details["Requeue"] == "1"
    [convert] = submitted.numbers("convert_gpt2 tiny-a")
    assert "TresPerJob" not in cluster.details(convert)


def test_a_job_sees_the_gpu_that_it_was_given(cluster, finished):
    """By what Slurm sets for jobs like ours; the rules leave it as it is."""
    submitted, _ = finished
    [number] = submitted.numbers("finetune tiny-a_quick")
    details = cluster.details(number)
    output = submitted.path("gpus.txt")
    job = cluster.ask(
        "sbatch", "--parsable", f"--output={output}", f"--cpus-per-task={details['CPUs/Task']}",
        f"--gpus={details['TresPerJob'].rpartition(':')[2]}", "--mem=100", "--time=1",
        "--wrap=srun -n1 --gpus=1 sh -c 'echo GPUs: $CUDA_VISIBLE_DEVICES'",
    )  # fmt: skip
    wait_for(lambda: cluster.state(job) == "COMPLETED")
    assert output.read_text() == "GPUs: 0\n"


def test_the_controller_is_asked_once_for_each_job_and_once_in_a_while_for_all(cluster, finished):
    submitted, _ = finished
    jobs = len(submitted.jobs())
    assert jobs >= 10
    calls = json.loads(submitted.path("calls.json").read_text())
    assert calls["sbatch"] == jobs
    # One question a check for all jobs together, and beside them a few when the run begins.
    assert calls["squeue"] <= calls["seconds"] / FIRST_CHECK + 5
    # Which the executor also asks for the configuration, as does each Snakemake within a job.
    assert calls["scontrol"] <= calls["squeue"] + 3 * jobs + 5
    with submitted.path("results/summary.csv").open() as file:
        assert len(list(csv.DictReader(file))) == (jobs - 2) // 2


def let_go(folder: Path) -> None:
    (folder / "hold").unlink()


def resumed_at(folder: Path) -> list[int]:
    return json.loads((folder / "training.json").read_text())["resumed_at"]


def test_what_a_lost_node_scancel_and_a_time_limit_cut_short_is_finished(cluster, project):
    """In one run: all three start, their nodes go down under them, then two end each in its way."""
    for seed, name in enumerate(("lost", "cancelled", "overtime")):
        project.change(**{f"recipes__{name}": {"extends": "quick", "training": {"seed": seed}}})
    names = ("lost", "cancelled", "overtime")
    folders = dict(zip(names, project.hold(*(f"tiny-a/{name}" for name in names)), strict=True))
    run = project.start(
        *(f"results/tiny-a/{name}/losses.csv" for name in names), "--quiet", "host", "rules"
    )
    checkpoints = [folder / "checkpoint.pt" for folder in folders.values()]
    wait_for(lambda: all(path.exists() for path in checkpoints))
    jobs = {name: project.numbers(f"finetune tiny-a_{name}") for name in names}
    assert all(len(numbers) == 1 for numbers in jobs.values())

    nodes = {node for [job] in jobs.values() for node in cluster.nodes_of(job)}
    for node in nodes:
        cluster.crash(node)
    written = {path: path.stat().st_mtime_ns for path in checkpoints}
    for node in nodes:
        cluster.boot(node)
    wait_for(lambda: all(cluster.details(job)["Restarts"] == "1" for [job] in jobs.values()))
    # They train and are held again. Before that, Slurm's signal would end them at once.
    wait_for(lambda: all(path.stat().st_mtime_ns > written[path] for path in checkpoints))

    let_go(folders["lost"])
    [job] = jobs["cancelled"]
    cluster.ask("scancel", job)
    wait_for(lambda: cluster.state(job) == "CANCELLED")
    let_go(folders["cancelled"])
    [job] = jobs["overtime"]
    cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")  # minute, the least there is
    wait_for(lambda: cluster.state(job) == "TIMEOUT")
    let_go(folders["overtime"])
    assert run.wait(300) == 0, project.said() + cluster.log()

    logs = ".snakemake/slurm_logs/rule_finetune/tiny-a"
    assert [line for line in project.said().splitlines() if line.startswith("error: ")] == [
        f"error: finetune tiny-a {name}: {cause} "
        f"[job {job}; attempt 1 of 3; {logs}_{name}/{job}.log]"
        for name, cause in (
            ("cancelled", "it was cancelled"),
            ("overtime", "its time limit passed"),
        )
        for job in jobs[name]
    ]
    count = {name: len(project.numbers(f"finetune tiny-a_{name}")) for name in names}
    assert count == {"lost": 1, "cancelled": 2, "overtime": 2}
    first, again = project.numbers("finetune tiny-a_cancelled")
    minutes = [int(cluster.details(job)["TimeLimit"][3:5]) for job in (first, again)]
    assert minutes[1] == 2 * minutes[0]
    for folder in folders.values():
        assert resumed_at(folder)[0] >= 1
        assert not (folder / "checkpoint.pt").exists()


def test_a_run_that_is_killed_finds_its_jobs_again(cluster, project):
    """No job twice, no output lost, and the outputs keep the record of what they were made from."""
    project.change(recipes__quick__training={"epochs": 1, "learning_rate": 2e-3})
    target = "results/tiny-a/quick/losses.csv"
    project.path("results/tiny-a/quick/checkpoint.pt").unlink(missing_ok=True)
    [folder] = project.hold("tiny-a/quick")
    run = project.start(target)
    wait_for((folder / "checkpoint.pt").exists)
    project.kill()

    outcome = project.run(target)
    assert "LockException" in outcome.text
    assert project.run("--unlock", target).code == 0
    run = project.start(target)
    wait_for(lambda: "still running in this folder" in project.said())
    [job] = project.numbers("finetune tiny-a_quick")
    assert f"{job} RUNNING finetune tiny-a_quick" in project.said()
    assert f"scancel {job}" in project.said()
    let_go(folder)
    assert run.wait(300) == 0, project.said()
    assert "Nothing to be done" in project.said()
    assert project.numbers("finetune tiny-a_quick") == [job]
    assert resumed_at(folder) == []

    project.change(recipes__quick__training={"epochs": 1, "learning_rate": 3e-3})
    planned = project.run("-n", target)
    assert "finetune tiny-a quick" in planned.jobs, planned.tail


OLLAMA = """#!{python}
# Serves as `ollama serve` does, and notes every question.
import os, sys
sys.path.insert(0, {root!r})
from tests.support.judge_servers import Reply, ollama_server
assert sys.argv[1:] == ["serve"]
host, port = os.environ["OLLAMA_HOST"].split(":")
server = ollama_server("llama3:latest", port=int(port), host=host)
def behave(number, body):
    with open({questions!r}, "a") as file:
        print(number, file=file)
    return Reply()
server.behave = behave
server.serve_forever()
"""


def test_a_judge_server_is_a_job_of_its_own_and_may_move(cluster, project):
    """Its address comes by file; where it runs asks nothing again."""
    questions = project.path("questions.txt")
    program = project.path("bin/ollama")
    program.parent.mkdir()
    program.write_text(
        OLLAMA.format(python=sys.executable, root=str(ROOT), questions=str(questions))
    )
    program.chmod(0o755)
    address = project.path("results/judge-server.txt")
    target = "results/tiny-a/quick/server/scores.csv"
    project.change(
        judges__server={
            "backend": "ollama", "model": "llama3", "url": "file:results/judge-server.txt"
        }
    )  # fmt: skip
    outcome = project.run(target)
    assert "does not exist: no server has written its address" in outcome.errors()[0]

    path = {"PATH": f"{program.parent}:{cluster.folder}/bin:/usr/bin:/bin"}
    addresses = []
    for node in ("node2", "node3"):
        job = cluster.run(
            "sbatch", "--parsable", f"--nodelist={node}", "profiles/slurm/judge-server.sbatch",
            folder=project.folder, environment=path,
        ).stdout.strip()  # fmt: skip
        wait_for(address.exists)
        addresses.append(address.read_text())
        project.path(target).unlink(missing_ok=True)
        outcome = project.run(target)
        assert outcome.code == 0, outcome.tail
        assert "judge tiny-a quick server" in outcome.jobs
        asked = len(questions.read_text().splitlines())
        cluster.ask("scancel", job)
        wait_for(lambda: not address.exists())
        wait_for(lambda job=job: cluster.state(job) == "CANCELLED")
    assert [address.split(":")[1].strip("/") for address in addresses] == ["node2", "node3"]
    assert asked == len(json.loads(project.path("results/tiny-a/quick/responses.json").read_text()))

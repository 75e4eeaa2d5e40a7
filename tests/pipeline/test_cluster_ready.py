"""What a cluster relies on, shown without one: no network in the heavy jobs, judges in turn."""

import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.judge_servers import Reply, ollama_server, running

# Python runs this first of all in every process: it takes down every address that is looked up or
# spoken to, and refuses it.
WATCH = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[1] if event != "socket.getaddrinfo" else arguments[0]
        if event == "socket.getaddrinfo" or isinstance(address, tuple):
            with open({record!r}, "a") as file:
                print(event, address, *sys.argv[:1], file=file)
            raise OSError("no network here")

sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path) -> tuple[dict[str, str], Path]:
    """An environment without network, and where each try to use it is taken down."""
    record = tmp_path / "tries.txt"
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH.format(record=str(record)))
    return {**os.environ, "PYTHONPATH": str(tmp_path / "watch")}, record


def test_a_try_to_use_the_network_would_be_seen(watched):
    environment, record = watched
    code = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode != 0
    assert "127.0.0.1" in record.read_text()


def test_jobs_of_a_gpu_node_open_no_connection(project, watched):
    """convert_gpt2, finetune and generate: all that the profile submits."""
    environment, record = watched
    for path in ("responses.json", "model.pth"):
        project.path(f"results/tiny-a/quick/{path}").unlink()
    (project.kept("gpt2/tiny-a") / "model.safetensors").unlink()
    outcome = project.run("results/tiny-a/quick/responses.json", environment=environment)
    assert outcome.code == 0, outcome.tail
    assert {"convert_gpt2 tiny-a", "finetune tiny-a quick", "generate tiny-a quick"} <= outcome.jobs
    assert not record.exists(), record.read_text()


@pytest.mark.parametrize("slots", [1, 2])
def test_judge_slots_bound_how_many_judgings_speak_to_a_server(project, slots):
    together = threading.Barrier(2)

    def behave(number, body):
        """The first question waits for one of the other judging: for long if it must come."""
        if number < 2:
            with suppress(threading.BrokenBarrierError):
                together.wait(120 if slots == 2 else 0.5)
        return Reply()

    with running(ollama_server("llama3:latest")) as server:
        server.behave = behave
        project.change(judges__server__url=server.address)
        outcome = project.run(
            "results/scores.csv", "--cores", "4", "--resources", f"judge_slots={slots}"
        )
        assert outcome.code == 0, outcome.tail
        assert {"judge tiny-a quick server", "judge tiny-b quick server"} <= outcome.jobs
        assert server.most_at_once == slots


def test_a_job_that_fits_nowhere_is_refused_before_anything_runs(project):
    project.change(limits={"mem_mb": 100})
    outcome = project.run()
    assert outcome.code != 0
    [line] = outcome.errors()
    assert re.fullmatch(
        r"error: finetune tiny-a quick needs mem_mb \d+, limits.mem_mb is 100; use .*",
        line,
    )


def test_one_that_only_its_data_make_too_large_is_refused_when_it_would_be_submitted(project):
    large = {"extends": "quick", "resources": {"finetune": {"mem_mb": 9000}}}
    project.change(recipes__large=large, limits={"mem_mb": 8000})
    outcome = project.run("results/tiny-a/large/losses.csv")
    assert outcome.code != 0
    said = "error: finetune tiny-a large asks for mem_mb 9000, limits.mem_mb is 8000; lower"
    assert outcome.text.count(said) == 1, outcome.text[-1500:]
    assert "Traceback" not in outcome.text
    assert outcome.jobs <= {"finetune tiny-a large"}


def test_resources_rerun_nothing(project):
    project.change(
        recipes__quick__resources={"finetune": {"mem_mb": 9000}, "generate": {"runtime": 99}},
        limits={"mem_mb": 10_000},
    )
    assert "Nothing to be done" in project.run().text


@pytest.mark.parametrize("known", [True, False])
def test_a_submitted_job_records_what_its_outputs_were_made_from(project, known):
    """As Snakemake starts it on a node; a Snakemake that may differ inside is left as it is."""
    if not known:
        project.edit("workflow/rules/cluster.smk", 'KNOWN_VERSIONS = ("9.27.",)',
                     'KNOWN_VERSIONS = ("0.1.",)')  # fmt: skip
    target = "results/data/few/train.json"
    project.path(target).unlink()
    shutil.rmtree(project.path(".snakemake/metadata"))
    outcome = project.run(target, "--mode", "remote", "--nolock")
    assert outcome.code == 0, outcome.tail
    warnings = [line for line in outcome.text.splitlines() if line.startswith("warning: ")]
    if known:
        assert list(project.path(".snakemake/metadata").iterdir())
        assert not warnings
    else:
        assert not list(project.path(".snakemake/metadata").iterdir())
        assert len(warnings) == 1
        assert "is none of 0.1.x, so jobs do not record their outputs" in warnings[0]

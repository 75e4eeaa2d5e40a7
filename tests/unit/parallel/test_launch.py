"""Processes are started together and end together, whatever happens to any of them.

Those of several machines are in test_meeting.py, and on a real Slurm in tests/cluster.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support import distributed_work
from tests.support.paths import ROOT
from workflow.lib.parallel.launching.launch import launch
from workflow.lib.parallel.launching.meeting import Meeting
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing

pytestmark = pytest.mark.slow

FORK = multiprocessing.get_context("fork")
DEADLINE = 300  # seconds, for what should take a few on a machine that has time


class Job:
    """A script that runs, in a process of its own, and what became of it."""

    def __init__(self, folder: Path, work, gpus=2, nodes=1, patience=60):
        self.folder = folder
        self.log = folder / "logs" / "finetune" / "tiny" / "quick.log"
        self.printed = folder / "printed"
        computing = Computing(device="cpu", threads=4, patience=patience)

        job = distributed_work.Work(name=work.__name__, folder=folder, computing=computing)

        def script():
            for number in (1, 2):
                os.dup2(os.open(self.printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # pytest has put another
            with rule_log(self.log):
                launch(job, gpus, nodes, str(self.log))

        self.process = FORK.Process(target=script)
        self.process.start()

    def end(self) -> list[str]:
        """Wait for it; the lines of its log file, which must be what it printed."""
        self.process.join(DEADLINE)
        assert self.process.exitcode is not None
        self.nobody_is_left()
        assert [path.name for path in self.log.parent.iterdir()] == ["quick.log"]
        lines = self.log.read_text("utf-8").splitlines()
        assert lines[0] == "finetune tiny quick"
        return lines[1:]

    def error(self) -> str:
        """The one line that it ended with."""
        lines = self.end()
        assert self.process.exitcode == 1
        assert len(lines) == 1, lines
        printed = self.printed.read_text()
        assert "Traceback" not in printed
        assert printed.splitlines()[1:] == lines
        return lines[0]

    def pids(self) -> list[int]:
        return [int(path.read_text()) for path in self.folder.glob("*.pid")]

    def wait_for(self, size: int) -> None:
        """Until so many processes are at work."""
        until = time.monotonic() + DEADLINE
        while len(self.pids()) < size:
            assert self.process.is_alive(), self.printed.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)

    def nobody_is_left(self) -> None:
        until = time.monotonic() + DEADLINE
        while any(map(_runs, self.pids())):
            assert time.monotonic() < until, "a process remains"
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether there is such a process that is more than an entry of a table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def job(tmp_path):
    """Start jobs; whatever is left of them ends with the test."""
    jobs = []

    def start(work, *arguments, **options):
        jobs.append(Job(tmp_path, work, *arguments, **options))
        return jobs[-1]

    yield start
    for started in jobs:
        for pid in [started.process.pid, *started.pids()]:
            if _runs(pid):
                os.kill(pid, signal.SIGKILL)
        started.process.join()


def test_the_first_process_speaks_and_threads_are_divided(job):
    started = job(distributed_work.add, gpus=4)
    assert started.end() == ["the sum is 10, says 0, on cpu", "[1, 1, 1, 1]"]
    assert started.process.exitcode == 0
    job_line, *said = started.printed.read_text().splitlines()
    assert [job_line, *(line.removeprefix("tiny/quick | ") for line in said)] == (
        started.log.read_text().splitlines()
    )
    assert all(line.startswith("tiny/quick | ") for line in said)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (distributed_work.user_error, "a thing is wrong; put it right"),
        (distributed_work.user_error_everywhere, "a thing is wrong; put it right"),
        (
            distributed_work.killed,
            "process 1 of 2 was ended by SIGKILL, perhaps because memory ran out; run the "
            "same command again to go on",
        ),
        (
            distributed_work.mute,
            "process 1 of 2 ended with status 3 (some last words); run the same command again to "
            "go on",
        ),
    ],
)
def test_one_failing_process_ends_all_in_one_line(job, work, said):
    assert job(work).error() == f"error: {said}"


def test_a_defect_in_a_process_shows_where_it_is(job):
    started = job(distributed_work.defect)
    text = "\n".join(started.end())
    assert started.process.exitcode == 1
    assert text.startswith("error: this is a defect of the pipeline, please report it")
    assert "process 1 of 2" in text
    assert "distributed_work.py" in text
    assert text.endswith("ZeroDivisionError: oh")


@pytest.mark.parametrize("work", [distributed_work.hung, distributed_work.hung_results])
def test_a_hung_process_is_named_when_patience_ends(job, work):
    line = job(work, patience=3).error()
    assert line.startswith("error: process 1 of 2 did not answer for 3 s (")
    assert line.endswith("; run the same command again to go on, with a larger `patience` if it "
                         "was only slow")  # fmt: skip


def test_a_slow_process_that_is_at_work_is_waited_for(job):
    started = job(distributed_work.slow_results, patience=2)
    assert started.end() == ["collected [0, 1]"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_script_ends_all(job, how):
    started = job(distributed_work.endless)
    started.wait_for(2)
    os.kill(started.process.pid, how)
    assert started.end() == ["error: interrupted; run the same command again to go on"]
    assert started.process.exitcode == 130


def test_nobody_survives_a_script_that_is_killed(job):
    started = job(distributed_work.hung)
    started.wait_for(2)
    os.kill(started.process.pid, signal.SIGKILL)
    started.nobody_is_left()


def test_several_nodes_need_a_cluster(job, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert job(distributed_work.add, gpus=1, nodes=2).error() == (
        "error: nodes: 2 of the recipe, but this job has 1; run it on a cluster with "
        "--workflow-profile profiles/slurm, or set nodes: 1"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_its_exit_prints_nothing(tmp_path, number):
    """When a task of a job fails, srun ends the others, which may be ending by themselves."""
    description = tmp_path / "job.json"
    meeting = Meeting(["here"], 1, "here", "127.0.0.1", 0, "name", 1.0)
    description.write_text(json.dumps({"meeting": asdict(meeting)}))
    script = f"""
import atexit, signal
from pathlib import Path
from workflow.lib.parallel.launching import node
from workflow.lib.runtime.errors import UserError

def meet(*_):
    raise UserError("nobody is there")

node.meet = meet
atexit.register(signal.raise_signal, {int(number)})
node.main(Path({str(description)!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")

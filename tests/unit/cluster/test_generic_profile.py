"""The scripts of profiles/cluster-generic, with a scheduler of files in place of a real one."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# `queue` holds the numbers of unfinished jobs; `down` means that the scheduler cannot be asked.
SCHEDULER = """
PERIOD={period} PATIENCE={patience}
submit() {{ env >submitted; echo "submit $1" >>calls; cat prints; [ ! -e down ]; }}
unfinished() {{ echo ask >>calls; [ ! -e down ] && cat queue; }}
cancel() {{ echo "cancel $*" >>calls; [ ! -e down ]; }}
"""


class Profile:
    """A working folder with the profile's scripts and a scheduler for tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / ".snakemake/cluster_generic"
        shutil.copytree(ROOT / "profiles/cluster-generic", folder / "profile")
        self.set(period=0, patience=0)
        self.queue()

    def set(self, period: int, patience: int) -> None:
        text = SCHEDULER.format(period=period, patience=patience)
        (self.folder / "profile/scheduler.sh").write_text(text)

    def queue(self, *numbers: str) -> None:
        (self.folder / "queue").write_text("".join(f"{number}\n" for number in numbers))

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [f"profile/{script}.sh", *arguments], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, **environment}, check=False, timeout=30,
        )  # fmt: skip

    def submit(self, prints: str = "7\n", **changes: str) -> subprocess.CompletedProcess:
        (self.folder / "prints").write_text(prints)
        asked = {"LOG": "results/logs/finetune/tiny/quick.log", "THREADS": "8", "GPUS": "2"}
        asked |= {"MEM_MB": "100", "MINUTES": "5", "NODES": "1"}
        return self.run("submit", "script", **(asked | changes))

    def status(self, number: str = "7") -> str:
        done = self.run("status", number)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ends(self, number: str, status: int) -> None:
        """A job's script ends on its node."""
        (self.jobs / f"{number}.exit").write_text(f"{status}\n")

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def profile(tmp_path) -> Profile:
    return Profile(tmp_path)


def test_a_job_gets_its_name_its_log_and_what_it_requests(profile):
    done = profile.submit(GPUS="4", NODES="2")
    assert done.stdout == "7\n"
    given = dict(
        line.split("=", 1) for line in (profile.folder / "submitted").read_text().splitlines()
        if "=" in line
    )  # fmt: skip
    assert given["LOG"] == f"{profile.jobs}/finetune.tiny.quick.log"
    assert given["GPUS"] == "2"  # on each node
    assert (profile.jobs / "7.submitted").read_text() == "finetune.tiny.quick\n"


def test_a_submission_that_fails_or_names_no_job_is_an_error_in_one_line(profile):
    (profile.folder / "down").touch()
    done = profile.submit(prints="")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: finetune.tiny.quick was not submitted; what the scheduler says is above\n"
    )
    (profile.folder / "down").unlink()
    for prints in ("", "Job <7> is submitted to queue <normal>.\n", "7\n8\n"):
        done = profile.submit(prints)
        assert done.returncode == 1 and done.stdout == ""
        assert "submit printed" in done.stderr and "scheduler.sh" in done.stderr
    assert profile.submit("7;cluster\n").stdout == "7\n"
    assert profile.submit("1234.pbs-server.example.org\n").returncode == 0


@pytest.mark.parametrize(("left", "answer"), [(0, "success"), (1, "failed"), (143, "failed")])
def test_a_job_that_ended_is_what_its_exit_status_says(profile, left, answer):
    profile.submit()
    profile.queue("6", "7", "77")
    assert profile.status() == "running"
    profile.ends("7", left)
    assert profile.status() == "running"  # as long as the scheduler lists it; it may be requeued
    profile.queue("6", "77")
    assert profile.status() == answer
    assert not [*profile.jobs.glob("7.*")]


def test_a_job_that_is_lost_has_failed_once_its_exit_status_should_be_visible(profile):
    profile.set(period=0, patience=1000)
    profile.submit()
    assert profile.status() == "running"
    then = time.time() - 2000
    os.utime(profile.jobs / "7.missing", (then, then))
    done = profile.run("status", "7")
    assert done.stdout == "failed\n"
    assert "job 7 ended without an exit status" in done.stderr


def test_a_job_that_is_listed_again_is_not_lost(profile):
    profile.set(period=0, patience=1000)
    profile.submit()
    assert profile.status() == "running"
    profile.queue("7")
    assert profile.status() == "running"
    assert not (profile.jobs / "7.missing").exists()


@pytest.mark.parametrize("left", [None, 0, 1])
def test_a_scheduler_that_cannot_be_asked_says_nothing_about_a_job(profile, left):
    profile.submit()
    (profile.folder / "down").touch()
    if left is not None:
        profile.ends("7", left)
    said = [profile.run("status", "7") for _ in range(3)]
    assert {done.stdout for done in said} == {"running\n"}
    assert "".join(done.stderr for done in said).count("cannot ask the scheduler") == 1
    (profile.folder / "down").unlink()
    assert profile.status() == ("success" if left == 0 else "failed")


def test_an_answer_that_is_no_list_of_numbers_is_none(profile):
    """An error that a scheduler prints in place of its list must not end jobs."""
    profile.submit()
    (profile.folder / "queue").write_text("Unable to contact the server\n")
    done = profile.run("status", "7")
    assert done.stdout == "running\n"
    assert "Unable to contact the server" in done.stderr
    (profile.folder / "queue").write_text("  7  \n\n")
    assert profile.status() == "running"


def test_one_answer_serves_all_jobs_but_those_submitted_later(profile):
    profile.set(period=1000, patience=0)
    numbers = [str(number) for number in range(5)]
    profile.queue(*numbers, "9")
    for number in numbers:
        profile.submit(number)
    assert [profile.status(number) for number in numbers] == ["running"] * 5
    assert profile.calls().count("ask") == 1
    profile.submit("9")
    assert profile.status("9") == profile.status("1") == "running"
    assert profile.calls().count("ask") == 2


def test_jobs_are_cancelled_in_the_background_and_a_failure_is_said(profile):
    profile.run("cancel", "7", "8")
    assert "cancel 7 8" in profile.calls()
    (profile.folder / "down").touch()
    done = profile.run("cancel", "7", "8")
    assert done.stderr == ("error: could not cancel all of these jobs, do it by hand: 7 8\n")


@pytest.mark.parametrize(
    ("command", "ended_by", "left"),
    [
        ("true", None, "0"),
        ("false", None, "1"),
        ("sh -c 'touch started; sleep 30'", signal.SIGTERM, "1"),
        (
            "sh -c 'trap \"sleep 1; exit 0\" TERM; touch started; sleep 30 & wait'",
            signal.SIGTERM,
            "0",
        ),
    ],
)
def test_a_job_leaves_the_status_of_its_command_also_when_asked_to_end(
    profile, command, ended_by, left
):
    """Killed by a signal, bash has the status of the command before, `cd`, which is 0."""
    profile.jobs.mkdir(parents=True)
    template = (profile.folder / "profile/job.sh").read_text()
    prefix, suffix = f"cd {profile.folder} &&", "&& exit 0 || exit 1"  # as the executor has them
    script = profile.folder / "job"
    script.write_text(template.format(properties="{}", exec_job=f"{prefix} {command} {suffix}"))
    job = subprocess.Popen(
        ["bash", script], cwd="/", env={**os.environ, "SLURM_JOB_ID": "7"}, start_new_session=True
    )
    if ended_by:
        while not (profile.folder / "started").exists():
            time.sleep(0.02)
        os.killpg(job.pid, ended_by)
    job.wait(20)
    assert (profile.jobs / "7.exit").read_text() == f"{left}\n"

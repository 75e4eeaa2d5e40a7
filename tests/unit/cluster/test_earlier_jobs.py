"""Jobs of a run that was killed are found by their folder, named, and waited for."""

import os
from pathlib import Path

import pytest

from tests.support.squeue import fake_squeue
from workflow.lib.cluster import earlier_jobs
from workflow.lib.cluster.earlier_jobs import EarlierJob, wait_for_earlier_jobs
from workflow.lib.runtime import slurm
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.slurm import SEPARATOR

HERE = Path("/shared/mine")


def lines(*jobs: str) -> str:
    """What squeue prints of jobs whose cells are written with a bar between them."""
    return "".join(f"{job}\n" for job in jobs).replace("|", SEPARATOR)


QUEUE = lines(
    "12|root|RUNNING|rule_finetune_wildcards_small_book|/shared/mine",
    "13|root|PENDING|rule_convert_gpt2_wildcards_small|/shared/mine",
    "14|root|RUNNING|rule_finetune_wildcards_small_book|/shared/other",
    "15|root|RUNNING|(null)|/shared/mine",
)
OTHERS = lines("16|bea|RUNNING|rule_finetune_wildcards_small_book|/shared/mine")


@pytest.fixture(autouse=True)
def user(monkeypatch):
    """Whatever the account is called."""
    monkeypatch.setattr(earlier_jobs.getpass, "getuser", lambda: "root")


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    monkeypatch.setattr(earlier_jobs, "PAUSE", 0.0)
    return fake_squeue(tmp_path, monkeypatch)


def test_jobs_of_this_folder_are_told_from_others(squeue):
    squeue(QUEUE)
    assert earlier_jobs.earlier_jobs(HERE) == [
        EarlierJob("12", "root", "RUNNING", "finetune small_book"),
        EarlierJob("13", "root", "PENDING", "convert_gpt2 small"),
    ]


def test_they_are_named_once_and_waited_for(squeue, capsys, tmp_path):
    squeue(QUEUE, QUEUE, QUEUE.splitlines()[2])
    wait_for_earlier_jobs(HERE)
    said = capsys.readouterr().err
    assert said.count("2 jobs of an earlier run are still running in this folder:\n") == 1
    assert "\n  12 RUNNING finetune small_book\n  13 PENDING convert_gpt2 small\n" in said
    assert said.endswith("scancel 12 13\n")
    assert not list(tmp_path.glob("*.answer"))


def test_jobs_of_all_users_are_asked_for_and_named_with_their_owner(squeue, capsys, tmp_path):
    squeue(QUEUE.splitlines(keepends=True)[0] + OTHERS)
    wait_for_earlier_jobs(HERE)
    said = capsys.readouterr().err
    assert "\n  12 RUNNING finetune small_book\n  16 RUNNING finetune small_book (of bea)\n" in said
    assert said.endswith("to cancel the jobs: scancel 12\n")
    squeue(OTHERS)
    wait_for_earlier_jobs(HERE)
    assert capsys.readouterr().err.endswith("; only their owners can cancel them\n")
    assert "--me" not in (tmp_path / "asked").read_text()


def test_a_folder_is_the_same_by_a_link_or_mounted_twice(squeue, tmp_path, monkeypatch):
    folder, link, other = tmp_path / "mi|ne", tmp_path / "link", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    link.symlink_to(folder)
    place = str(folder).replace("|", "%bar%")
    rows = [f"{n}|root|RUNNING|rule_x|{path}" for n, path in enumerate((place, link, other))]
    squeue(lines(*rows).replace("%bar%", "|"))
    assert [job.number for job in earlier_jobs.earlier_jobs(folder)] == ["0", "1"]

    stat = Path.stat

    def on_another_device(path, **options):
        found = stat(path, **options)
        if path != link:
            return found
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10]), {
            "st_ctime_ns": found.st_ctime_ns})  # fmt: skip

    monkeypatch.setattr(Path, "stat", on_another_device)
    assert earlier_jobs.is_same_folder(link, folder)
    assert not earlier_jobs.is_same_folder(other, folder)
    assert not earlier_jobs.is_same_folder(tmp_path / "none", folder)


def test_without_jobs_nothing_is_said(squeue, capsys):
    squeue()
    wait_for_earlier_jobs(HERE, submits=True)
    assert capsys.readouterr().err == ""


def test_where_squeue_fails_nobody_knows_which_is_an_error_with_a_way_on(
    squeue, tmp_path, monkeypatch
):
    squeue(code=1, error="slurm_load_jobs error: Unable to contact slurm controller")
    with pytest.raises(UserError) as raised:
        wait_for_earlier_jobs(tmp_path, submits=True)
    said = str(raised.value)
    assert said.startswith(
        "squeue fails: slurm_load_jobs error: Unable to contact slurm controller; "
    )
    assert f"left in {tmp_path}" in said
    assert "\n" not in said
    assert "run the command with FINETUNING_EARLIER_JOBS=none in front" in said
    monkeypatch.setenv("FINETUNING_EARLIER_JOBS", "none")
    wait_for_earlier_jobs(tmp_path, submits=True)


def test_a_run_without_slurm_minds_that_only_where_jobs_were_submitted(squeue, tmp_path, capsys):
    squeue(code=1)
    wait_for_earlier_jobs(tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / ".snakemake/slurm_logs").mkdir(parents=True)
    with pytest.raises(UserError, match="squeue fails"):
        wait_for_earlier_jobs(tmp_path)


def test_a_controller_that_is_lost_while_waiting_does_not_end_the_waiting(
    squeue, monkeypatch, capsys
):
    answers = [UserError("squeue fails"), UserError("squeue fails"), ["a job"], []]
    squeue(QUEUE)
    jobs = earlier_jobs.earlier_jobs(HERE)

    def answer(folder):
        found = answers.pop(0)
        if isinstance(found, UserError):
            raise found
        return found

    answers.insert(0, jobs)
    monkeypatch.setattr(earlier_jobs, "earlier_jobs", answer)
    wait_for_earlier_jobs(HERE)
    assert answers == []
    assert capsys.readouterr().err.count("squeue fails; asking again every ") == 1


def test_a_controller_that_never_answers_is_one_line(tmp_path, monkeypatch):
    script = tmp_path / "squeue"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "PATIENCE", 0.2)
    with pytest.raises(UserError, match=r"squeue did not answer within 0\.2 s"):
        earlier_jobs.earlier_jobs(HERE)


def test_without_slurm_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert earlier_jobs.earlier_jobs(HERE) == []


def test_control_c_ends_the_waiting_in_one_line(squeue, monkeypatch):
    def interrupt(folder):
        raise KeyboardInterrupt

    squeue(QUEUE, QUEUE)
    monkeypatch.setattr(earlier_jobs, "_wait", interrupt)
    with pytest.raises(UserError, match="stopped waiting; the jobs of the earlier run continue"):
        wait_for_earlier_jobs(HERE)

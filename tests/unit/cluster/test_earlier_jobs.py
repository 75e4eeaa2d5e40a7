"""Jobs of a run that was killed are found by their folder, named, and waited for."""

from pathlib import Path

import pytest

from workflow.lib.cluster import earlier_jobs
from workflow.lib.cluster.earlier_jobs import EarlierJob, wait_for_earlier_jobs
from workflow.lib.runtime.errors import UserError

HERE = Path("/shared/mine")
QUEUE = """\
12|RUNNING|rule_finetune_wildcards_small_book|/shared/mine
13|PENDING|rule_convert_gpt2_wildcards_small|/shared/mine
14|RUNNING|rule_finetune_wildcards_small_book|/shared/other
15|RUNNING|(null)|/shared/mine
"""


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A command of that name which prints one file after the other; then nothing."""

    def answer(*texts: str, code: int = 0) -> None:
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.txt").write_text(text)
        script = tmp_path / "squeue"
        script.write_text(
            f"#!/bin/sh\ncd {tmp_path}\n"
            'for f in *.txt; do [ -e "$f" ] && cat "$f" && rm "$f"; break; done\n'
            f"exit {code}\n"
        )
        script.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(earlier_jobs, "PAUSE", 0.0)
    return answer


def test_jobs_of_this_folder_are_told_from_others(squeue):
    squeue(QUEUE)
    assert earlier_jobs.earlier_jobs(HERE) == [
        EarlierJob("12", "RUNNING", "finetune small_book"),
        EarlierJob("13", "PENDING", "convert_gpt2 small"),
    ]


def test_they_are_named_once_and_waited_for(squeue, capsys, tmp_path):
    squeue(QUEUE, QUEUE, QUEUE.splitlines()[2])
    wait_for_earlier_jobs(HERE)
    said = capsys.readouterr().err
    assert said.count("2 jobs of an earlier run are still running in this folder:\n") == 1
    assert "\n  12 RUNNING finetune small_book\n  13 PENDING convert_gpt2 small\n" in said
    assert said.endswith("scancel 12 13\n")
    assert not list(tmp_path.glob("*.txt"))


@pytest.mark.parametrize("code", [0, 1])
def test_without_jobs_or_a_controller_nothing_is_said(squeue, capsys, code):
    squeue(code=code)
    wait_for_earlier_jobs(HERE)
    assert capsys.readouterr().err == ""


def test_without_slurm_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert earlier_jobs.earlier_jobs(HERE) == []


def test_control_c_ends_the_waiting_in_one_line(squeue, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    squeue(QUEUE, QUEUE)
    monkeypatch.setattr(earlier_jobs.time, "sleep", interrupt)
    with pytest.raises(UserError, match="stopped waiting; the jobs of the earlier run continue"):
        wait_for_earlier_jobs(HERE)

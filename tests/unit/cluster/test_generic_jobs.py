"""Jobs that profiles/cluster-generic submitted in a run that was killed are waited for."""

from pathlib import Path

import pytest

from workflow.lib.cluster import generic_jobs
from workflow.lib.cluster.generic_jobs import JOBS, wait_for_generic_jobs
from workflow.lib.runtime.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with three jobs; job 8 runs for two rounds of questions."""
    profile, jobs = tmp_path / "profile", tmp_path / JOBS
    profile.mkdir()
    jobs.mkdir(parents=True)
    (jobs / "scripts").write_text(f"{profile}\n")
    for number in (7, 8, 9):
        (jobs / f"{number}.submitted").write_text(f"finetune.tiny.{number}\n")
    status = profile / "status.sh"
    status.write_text(
        "#!/bin/sh\n"
        f"cd {jobs}; echo $1 >>asked\n"
        "case $1 in 7) rm 7.submitted; echo success;; 9) rm 9.submitted; echo failed;; "
        "*) [ $(grep -c 8 asked) -lt 3 ] && echo running ||\n"
        "{ rm 8.submitted; echo success; };; esac\n"
    )
    status.chmod(0o755)
    monkeypatch.setattr(generic_jobs, "PAUSE", 0.0)
    return tmp_path


def test_they_are_named_once_and_waited_for(folder, capsys):
    wait_for_generic_jobs(folder)
    said = capsys.readouterr().err
    assert said.count("1 jobs of an earlier run are still running in this folder:\n") == 1
    assert "\n  8 finetune.tiny.8\n" in said
    assert said.endswith(f"to cancel the jobs: cd {folder} && {folder}/profile/cancel.sh 8\n")
    assert (folder / JOBS / "asked").read_text().split() == ["7", "8", "9", "8", "8"]


def test_nothing_is_said_where_no_job_was_submitted(tmp_path, capsys):
    wait_for_generic_jobs(tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("fault", ["gone", "fails", "unknown"])
def test_a_status_that_cannot_be_asked_is_an_error_with_a_way_on(folder, fault):
    status = folder / "profile/status.sh"
    status.unlink()
    if fault == "unknown":
        (folder / JOBS / "scripts").unlink()
    if fault == "fails":
        status.write_text("#!/bin/sh\nexit 3\n")
        status.chmod(0o755)
    with pytest.raises(
        UserError, match=r"whether job 7 .*(status\.sh|scripts).* or delete .*7\.submitted"
    ):
        wait_for_generic_jobs(folder)


def test_control_c_ends_the_waiting_in_one_line(folder, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(generic_jobs.time, "sleep", interrupt)
    with pytest.raises(UserError, match="stopped waiting; the jobs of the earlier run continue"):
        wait_for_generic_jobs(folder)

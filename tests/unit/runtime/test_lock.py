"""A lock names its holder, is freed on every exit, and is taken over only from what has ended."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from tests.support.paths import ROOT
from tests.support.squeue import fake_squeue
from workflow.lib.runtime import lock as locking
from workflow.lib.runtime.errors import UserError, one_line
from workflow.lib.runtime.holder import Holder
from workflow.lib.runtime.lock import check_not_lost, held, lock_of, wait_until_free

FORK = multiprocessing.get_context("fork")
OWN = Holder.this_process()
DEAD = replace(OWN, process=2**22 + 1, started="1")  # above Linux's largest number
ELSEWHERE = replace(OWN, host="node2", machine="b pid:[1]", boot="b", user="bea")
IN_JOB = {"cluster": "lab", "job": "77"}


@pytest.fixture
def file(tmp_path):
    """A checkpoint that need not exist."""
    return tmp_path / "results" / "checkpoint.pt"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Seconds become hundredths; this process is in job 80 of the cluster `lab`."""
    monkeypatch.setattr(locking, "PAUSE", 0.01)
    monkeypatch.setattr(locking, "WRITING", 0.05)
    monkeypatch.setattr(locking, "ENDING", 0.3)
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "lab")
    monkeypatch.setenv("SLURM_JOB_ID", "80")


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    return fake_squeue(tmp_path, monkeypatch)


def leave(file, holder) -> None:
    """Write a lock as a killed process leaves it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock_of(file).write_text(json.dumps(asdict(holder)))


def is_taken_over(file) -> bool:
    """Take the lock, see that it is this process's, and free it; False if it is refused."""
    try:
        with held(file, "trains"):
            holder = Holder(**json.loads(lock_of(file).read_text()))
            assert holder.process == os.getpid()
    except UserError as refused:
        assert str(lock_of(file)) in str(refused)
        assert lock_of(file).exists()
        return False
    assert [path.name for path in file.parent.iterdir()] == []
    return True


def test_a_lock_says_who_holds_it_where_and_since_when(file):
    with held(file, "trains"):
        holder = json.loads(lock_of(file).read_text())
        assert (holder["host"], holder["process"]) == (os.uname().nodename, os.getpid())
        assert (holder["user"], holder["job"]) == (OWN.user, "80")
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", holder["since"])
    assert not lock_of(file).exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_freed_whatever_ends_the_work(file, error):
    with pytest.raises(error), held(file, "trains"):
        raise error
    assert not lock_of(file).exists()


def test_sigterm_frees_it_and_its_handler_is_put_back(file):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), held(file, "trains"):
        signal.raise_signal(signal.SIGTERM)
    assert not lock_of(file).exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_of_others_is_left_alone(file):
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        with held(file, "trains"):
            signal.raise_signal(signal.SIGTERM)
            assert came == [1]
            assert lock_of(file).exists()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_process_is_refused_in_one_line_that_names_the_first(file):
    with held(file, "trains"):
        code = (
            "import sys; from pathlib import Path; from workflow.lib.runtime.lock import held\n"
            "from workflow.lib.runtime.errors import UserError\n"
            "try:\n  with held(Path(sys.argv[1]), 'trains'): print('both')\n"
            "except UserError as error: print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, check=True,
                              capture_output=True, text=True).stdout  # fmt: skip
        assert lock_of(file).exists()
    assert said == (
        f"{file.parent}: {OWN.user} on {OWN.host} (process {os.getpid()}, Slurm job 80) since "
        f"{said.partition('since ')[2].partition(' trains')[0]} trains here; wait until it has "
        "ended and run again or, if `squeue -j 80` does not list that job, delete "
        f"{lock_of(file)} and run again\n"
    )


@pytest.mark.parametrize(
    ("holder", "sign"),
    [
        (ELSEWHERE, f"`ps -p {ELSEWHERE.process}` on node2 does not list that process"),
        (replace(ELSEWHERE, **IN_JOB), "`squeue -j 77` does not list that job"),
        (
            replace(ELSEWHERE, cluster="other", job="77"),
            "`squeue -j 77` on the cluster other does not list that job",
        ),
        (None, "none trains here on any machine"),
    ],
    ids=["no job", "a job", "of another cluster", "not named"],
)
def test_the_line_says_what_shows_that_the_lock_may_be_deleted(file, squeue, holder, sign):
    squeue(code=1, error="Unable to contact slurm controller (connect failure)")
    file.parent.mkdir()
    lock_of(file).write_text(json.dumps(asdict(holder)) if holder else "?")
    with pytest.raises(UserError) as refused, held(file, "trains"):
        pass
    assert str(refused.value).endswith(f"or, if {sign}, delete {lock_of(file)} and run again")


def test_a_killed_process_of_this_machine_holds_nothing(file):
    def hold_and_die():
        with held(file, "trains"):
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=hold_and_die)
    process.start()
    process.join()
    assert lock_of(file).exists()
    assert is_taken_over(file)


def test_another_process_with_the_number_of_the_holder_is_not_it(file):
    leave(file, replace(OWN, started="1"))
    assert is_taken_over(file)


@pytest.mark.parametrize(
    ("holder", "ended"),
    [
        (DEAD, True),
        (replace(OWN, process=1, started=""), False),  # another user's
        (ELSEWHERE, False),
        (replace(ELSEWHERE, host=OWN.host), True),  # this machine before it was started again
        (replace(ELSEWHERE, host="localhost"), False),
        (replace(OWN, machine=f"{OWN.boot} pid:[9]", process=1), False),  # another container
    ],
    ids=["dead", "other user", "other host", "rebooted", "no name", "container"],
)
def test_without_a_job_the_machine_tells(file, holder, ended, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    if holder.host == "localhost":
        monkeypatch.setattr(Holder, "this_process", lambda: replace(OWN, host="localhost"))
        assert holder.has_ended(replace(OWN, host="localhost")) is False
        return
    leave(file, replace(holder, job=""))
    assert is_taken_over(file) == ended


@pytest.mark.parametrize(
    ("state", "ended"),
    [("RUNNING\n", False), ("PENDING\n", False), ("SUSPENDED\n", False), ("REQUEUED\n", False),
     ("TIMEOUT\n", True), ("NODE_FAIL\n", True), ("CANCELLED\n", True), ("", True),
     ("FAILED\nRUNNING\n", False)],
)  # fmt: skip
def test_of_a_job_on_another_machine_slurm_tells(file, squeue, tmp_path, state, ended):
    squeue(state)
    leave(file, replace(ELSEWHERE, **IN_JOB))
    assert is_taken_over(file) == ended
    assert "--jobs=77" in (tmp_path / "asked").read_text()


def test_a_job_that_slurm_has_forgotten_has_ended(file, squeue):
    squeue(code=1, error="slurm_load_jobs error: Invalid job id specified")
    leave(file, replace(ELSEWHERE, **IN_JOB))
    assert is_taken_over(file)


def test_where_slurm_cannot_be_asked_a_person_decides(file, squeue):
    squeue(code=1, error="Unable to contact slurm controller (connect failure)")
    leave(file, replace(ELSEWHERE, **IN_JOB))
    assert not is_taken_over(file)


def test_a_job_of_another_cluster_is_not_asked_about_here(file, squeue, tmp_path):
    squeue("TIMEOUT\n")
    leave(file, replace(ELSEWHERE, cluster="other", job="77"))
    assert not is_taken_over(file)
    assert not (tmp_path / "asked").exists()


def test_a_job_that_was_requeued_gets_past_its_own_lock(file, squeue, tmp_path):
    """It has the same number, on another node; Slurm says that it runs."""
    squeue("RUNNING\n")
    leave(file, replace(ELSEWHERE, cluster="lab", job="80"))
    assert is_taken_over(file)


def test_another_process_of_the_same_job_on_this_machine_holds_it(file):
    leave(file, replace(OWN, process=os.getppid(), started="", **{**IN_JOB, "job": "80"}))
    assert not is_taken_over(file)


def test_a_job_that_is_ending_is_waited_for(file, squeue):
    squeue("COMPLETING\n", "COMPLETING\n", "CANCELLED\n")
    leave(file, replace(ELSEWHERE, **IN_JOB))
    assert is_taken_over(file)


def test_but_not_without_end(file, squeue):
    squeue(*["COMPLETING\n"] * 100)
    leave(file, replace(ELSEWHERE, **IN_JOB))
    assert not is_taken_over(file)


def test_an_empty_lock_is_that_of_a_process_that_was_killed_while_it_wrote(file):
    file.parent.mkdir()
    lock_of(file).touch()
    assert is_taken_over(file)


@pytest.mark.parametrize("text", ["?", "[]", "{}", '{"process": 1}', "null"])
def test_a_lock_that_cannot_be_read_is_left_to_a_person(file, text):
    file.parent.mkdir()
    lock_of(file).write_text(text)
    assert not is_taken_over(file)


def test_of_many_that_find_a_stale_lock_one_gets_it_at_a_time(file):
    """Each notes when it has the lock and when it frees it; no two overlap."""
    leave(file, DEAD)
    notes = file.with_name("notes")

    def contend():
        for _ in range(200):
            try:
                with held(file, "trains"), notes.open("a") as written:
                    written.write(f"in {os.getpid()}\n")
                    written.flush()
                    time.sleep(0.01)
                    written.write(f"out {os.getpid()}\n")
                return
            except UserError:
                time.sleep(0.005)
        os._exit(1)

    processes = [FORK.Process(target=contend) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    lines = notes.read_text().split("\n")[:-1]
    assert len(lines) == 12
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert (first[:3], f"out{first[2:]}") == ("in ", second)


def test_before_anything_is_touched_a_run_asks_whether_another_is_at_work(file):
    """It waits or is refused as for the lock, and leaves behind what it found."""
    wait_until_free(file, "trains")
    assert not file.parent.exists()
    leave(file, DEAD)
    wait_until_free(file, "trains")
    assert lock_of(file).exists()
    leave(file, ELSEWHERE)
    with pytest.raises(UserError, match=r"bea on node2 .* trains here"):
        wait_until_free(file, "trains")
    assert lock_of(file).exists()


def test_whoever_lost_its_lock_does_not_write(file):
    with held(file, "trains"):
        check_not_lost(file)
        leave(file, ELSEWHERE)
        with pytest.raises(UserError, match="now belongs to another run, of bea on node2"):
            check_not_lost(file)
    assert lock_of(file).exists(), "that of the other run"


def test_where_nothing_can_be_written_the_line_names_the_lock(file, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(lock_of(file)))

    monkeypatch.setattr(locking.os, "open", refuse)
    with pytest.raises(PermissionError) as error, held(file, "trains"):
        pass
    assert one_line(error.value).startswith(f"Permission denied: {lock_of(file)}; ")

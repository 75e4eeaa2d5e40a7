"""What Slurm says about jobs reaches the executor in words that it does not wait on for ever."""

import pytest

from workflow.lib.cluster.job_states import JobStates


@pytest.mark.parametrize(
    ("said", "state"),
    [("CANCELLED by 1000", "CANCELLED"), ("RUNNING", "RUNNING"), ("TIMEOUT", "TIMEOUT"), ("", "")],
)
def test_a_state_is_its_first_word(said, state):
    assert JobStates().read({"7": said}, complete=True) == {"7": state}


@pytest.mark.parametrize("left", ["PREEMPTED", "NODE_FAIL"])
@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("PREEMPTED", "FAILED"),
        ("", "FAILED"),  # the controller has forgotten it
        ("PENDING", "PENDING"),
        ("RUNNING", "RUNNING"),
        (None, "COMPLETING"),
    ],
)
def test_a_job_that_slurm_does_not_start_again_is_lost(left, now, state):
    states = JobStates(ask=lambda job: now)
    assert states.read({"7": left}, complete=False) == {"7": state}
    assert states.lost == ({"7": left} if state == "FAILED" else {})


def test_a_job_that_slurm_has_forgotten_is_unknown_the_second_time():
    """Whether or not it was ever seen: a short one may come and go between two questions."""
    states = JobStates()
    states.submitted("7")
    assert states.read({"8": "RUNNING"}, complete=True) == {"8": "RUNNING"}
    assert states.read({}, complete=True) == {"7": "UNKNOWN"}
    states.submitted("9")
    for _ in range(3):  # accounting learns of a job late
        assert states.read({}, complete=False) == {}


def test_a_job_that_goes_from_running_to_pending_was_started_again():
    states = JobStates()
    for state in ("PENDING", "RUNNING", "COMPLETING", "PENDING"):
        states.read({"7": state}, complete=True)
    assert states.started_again == ["7"]
    states.started_again.clear()
    states.read({"7": "PENDING"}, complete=True)
    assert states.started_again == []


def test_questions_are_as_far_apart_as_there_are_jobs():
    states = JobStates()
    assert states.pause(0) == 0
    for job in range(100):
        states.submitted(str(job))
    assert states.pause(5) == pytest.approx(25)
    assert states.pause(30) == pytest.approx(30)
    states.read({str(job): "COMPLETED" for job in range(100)}, complete=True)
    assert states.pause(61) == 0

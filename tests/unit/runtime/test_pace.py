"""How often progress is shown, and the time that is left."""

import pytest

from workflow.lib.runtime import pace
from workflow.lib.runtime.pace import Pace, duration


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time that the clock shows, to be set."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_the_first_the_last_and_one_every_few_seconds_are_due(clock):
    every = Pace(every=5)
    due = []
    for step in range(21):
        due.append(every.due(step, 20))
        clock[0] += 1
    assert [step for step, shown in enumerate(due) if shown] == [0, 5, 10, 15, 20]


def test_the_time_left_counts_from_where_this_run_began(clock):
    """A training that resumes at step 100 does 50 steps in 10 s: the other 110 take 22 s."""
    resumed = Pace(every=5)
    resumed.due(100, 260)
    assert resumed.left(100, 260) == "100 of 260"
    clock[0] += 10
    assert resumed.left(150, 260) == "150 of 260, about 22 s left"
    assert resumed.left(260, 260) == "260 of 260"


@pytest.mark.parametrize(
    ("seconds", "read"),
    [(0.2, "1 s"), (12.4, "12 s"), (99, "99 s"), (290, "5 min"), (12_000, "3 h 20 min")],
)
def test_a_time_is_written_to_be_read(seconds, read):
    assert duration(seconds) == read

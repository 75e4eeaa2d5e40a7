"""How often progress is shown, and how long a piece of work still takes."""

import time


class Pace:
    """Says when the progress of one piece of work is due to be shown, with the time that is left.

    Args:
        every: seconds between two lines.
    """

    def __init__(self, every: float) -> None:
        self.every = every
        self.shown: float | None = None
        self.began = (0.0, 0)  # when the first progress was reported, and how far it was

    def due(self, done: int, total: int) -> bool:
        """Return whether to show that so much is done: the first time, the last, and at times."""
        now = time.monotonic()
        if self.shown is None:
            self.began = now, done
        elif done < total and now - self.shown < self.every:
            return False
        self.shown = now
        return True

    def left(self, done: int, total: int) -> str:
        """Return how far the work is and how long it still takes: "40 of 260, about 12 s left"."""
        began, first = self.began
        if not first < done < total:
            return f"{done} of {total}"
        seconds = (time.monotonic() - began) / (done - first) * (total - done)
        return f"{done} of {total}, about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a time to read: "12 s", "5 min" or "3 h 20 min"."""
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"

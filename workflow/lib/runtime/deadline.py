"""A deadline for work that cannot be interrupted, such as a read that keeps receiving bytes."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


class OverdueError(Exception):
    """Raised when work takes longer than it may."""


def result_within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return the result of the work, or raise what it raises.

    Work that takes too long goes on in a thread that nobody waits for.

    Raises:
        OverdueError: it takes longer than these seconds.
    """
    results: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:
            results.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except Empty:
        raise OverdueError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]

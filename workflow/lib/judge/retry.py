"""Retries after temporary failures: a busy server, a dropped connection."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tenacity import RetryCallState, Retrying, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.settings.judges import Transport

NOT_SENT = "not sent"

Result = TypeVar("Result")


def with_retries(work: Callable[[], Result], transport: Transport, stop: Event) -> Result:
    """Do the work, and retry after each temporary failure.

    Args:
        work: one attempt; raises NoReplyError.
        transport: number of retries and seconds between them.
        stop: when set, waiting ends and nothing more is attempted.

    Raises:
        NoReplyError: the last failure.
    """
    growing = wait_exponential(transport.backoff, max=60.0) + wait_random(0, transport.backoff)

    def attempt() -> Result:
        if stop.is_set():
            raise NoReplyError(NOT_SENT)
        return work()

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    retrying = Retrying(
        stop=stop_after_attempt(transport.retries + 1),
        wait=lambda state: max(growing(state), getattr(_failure(state), "wait", 0.0)),
        retry=lambda state: getattr(_failure(state), "again", False),
        sleep=pause,
        reraise=True,
    )
    return retrying(attempt)


def _failure(state: RetryCallState) -> BaseException | None:
    """Return what the last attempt raised."""
    return state.outcome.exception() if state.outcome else None

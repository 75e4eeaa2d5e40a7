"""Bounds on the time and the size of a whole reply, for the clients of all servers.

The timeouts of HTTP clients hold for a single read, so a server that sends a byte now and then
keeps them waiting for ever, and one that never stops fills the memory.
"""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from workflow.lib.judge.no_reply import NoReplyError

MOST_BYTES = 16_000_000  # a thousand times a long reply of a thinking model
MOST_COMPRESSED = 64_000  # grows to as much

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return the result of the work, or raise NoReplyError if it takes too long.

    Work that takes too long goes on in a thread that nobody waits for: no client can be made to
    give up a read that keeps receiving bytes.
    """
    results: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:
            results.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds + 0.5)  # the client's own timeouts say more
    except Empty:
        raise NoReplyError(
            f"no complete reply within {seconds:g} s", again=True, timed_out=True
        ) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def limit_size(response: Any) -> None:
    """Raise NoReplyError, as an event hook of an HTTP client, once a response is too large."""
    stream = response.stream
    most = MOST_COMPRESSED if "content-encoding" in response.headers else MOST_BYTES

    def parts(_: object) -> Iterator[bytes]:
        received = 0
        for part in stream:
            received += len(part)
            if received > most:
                raise NoReplyError(f"a reply of more than {most} bytes")
            yield part

    # Every HTTP library takes only streams that derive from its own class.
    methods = {"__iter__": parts, "close": lambda _: stream.close()}
    response.stream = type("Limited", type(stream).__mro__[1:2], methods)()

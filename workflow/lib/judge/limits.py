"""Bounds on the time and the size of a whole reply, for the clients of all servers.

The timeouts of HTTP clients hold for a single read, so a server that sends a byte now and then
keeps them waiting for ever, and one that never stops fills the memory.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.runtime.deadline import OverdueError, result_within

MOST_BYTES = 16_000_000  # a thousand times a long reply of a thinking model
MOST_COMPRESSED = 64_000  # grows to as much

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return the result of the work, or raise NoReplyError if it takes too long."""
    try:
        return result_within(seconds + 0.5, work)  # the client's own timeouts say more
    except OverdueError:
        raise NoReplyError(
            f"no complete reply within {seconds:g} s", again=True, timed_out=True
        ) from None


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

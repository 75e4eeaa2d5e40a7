"""Why a request to a judge's server got no reply, and whether another one would."""

from workflow.lib.runtime.printable import redacted
from workflow.lib.runtime.retry_after import seconds_of

LONGEST_WAIT = 600.0  # seconds; a server that asks for more is given up
_TEMPORARY = {408, 409, 429}  # the same request may succeed later
_FATAL = {401, 403, 404, 405}  # every other request will fail as well


class NoReplyError(Exception):
    """Raised when a request gets no reply.

    Args:
        reason: in words, for the user.
        again: whether the same request may succeed a little later.
        hopeless: whether every other request will fail as well.
        wait: seconds that the server asks to wait for.
        status: of HTTP, if there was one.
        timed_out: whether the server was still at work on the reply.
        other_protocol: whether the server sent something else than a reply.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        hopeless: bool = False,
        wait: float = 0.0,
        status: int | None = None,
        timed_out: bool = False,
        other_protocol: bool = False,
    ) -> None:
        reason = redacted(reason)
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.hopeless = hopeless
        self.wait = wait
        self.status = status
        self.timed_out = timed_out
        self.other_protocol = other_protocol


def refusal(status: int, text: str, retry_after: str | None, asked: str = "") -> NoReplyError:
    """Return the failure that an HTTP status stands for.

    Args:
        status: 400 or more.
        text: reason that the server gives.
        retry_after: header of that name: seconds or a date.
        asked: what was asked, where the address may be the reason.
    """
    wait = seconds_of(retry_after)
    # Half a key would not be recognized as one.
    reason = f"HTTP {status}: {' '.join(redacted(text).split())[:300] or 'no reason given'}{asked}"
    if wait > LONGEST_WAIT:
        return NoReplyError(f"{reason}; asks to retry in {wait:.0f} s", hopeless=True, wait=wait)
    return NoReplyError(
        reason,
        again=status in _TEMPORARY or status >= 500,
        hopeless=status in _FATAL,
        wait=wait,
        status=status,
    )

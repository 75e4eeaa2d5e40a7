"""Sends all requests that have no reply yet, several at a time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event
from typing import Any

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import ReplyCache
from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.judge.retry import NOT_SENT, with_retries
from workflow.lib.runtime.log import log, progress_bar

GIVE_UP_AFTER = 5  # failures in a row, if the settings allow no more
MOST_TIMEOUTS = 20  # in a row; a few long questions do not show that the server hangs


@dataclass(frozen=True)
class Request:
    """A question about one entry, ready to be sent.

    Args:
        entry: number of the entry, from 0.
        repeat: number of the request about this entry, from 0.
        question: the rendered prompt.
        body: what is sent.
        key: names it in the cache.
    """

    entry: int
    repeat: int
    question: str
    body: Mapping[str, Any]
    key: str


def send_all(
    backend: ServerBackend[Any], requests: Sequence[Request], cache: ReplyCache, name: str
) -> dict[str, NoReplyError]:
    """Put the reply to every request into the cache; requests with a reply are not sent.

    The first request goes alone and with more time, because the server loads the model for it.
    Once a failure shows that no request will succeed, or many in a row failed, the rest is not
    sent. Requests that timed out are sent after all others.

    Args:
        backend: its settings say how many requests at a time, how many retries and how many
            entries may fail.
        requests: all of them; equal ones about two entries are sent once.
        cache: replies, old and new.
        name: of the judge, before the progress bar.

    Returns:
        why a request has no reply, by its key.
    """
    settings = backend.settings
    missing: dict[str, Request] = {}
    for request in requests:
        if cache.get(request.key) is None:
            missing.setdefault(request.key, request)  # named after its first entry
    # Those that timed out come last, so that every run gets replies that others did not.
    missing = dict(sorted(missing.items(), key=lambda item: cache.timeouts(item[0])))
    if known := len({request.key for request in requests}) - len(missing):
        log.info("%s: %d replies are in %s, %d to request", name, known, cache.path, len(missing))
    most_in_a_row = max(GIVE_UP_AFTER, settings.max_failed * settings.repeats + 1)
    in_a_row = timeouts = 0
    stop = Event()
    failures: dict[str, NoReplyError] = {}

    def send(request: Request, timeout: float) -> tuple[Request, NoReplyError | None]:
        nonlocal in_a_row, timeouts  # without a lock: a lost count only delays giving up
        try:
            reply = with_retries(
                lambda: backend.send(request.body, timeout), settings.transport, stop
            )
        except NoReplyError as failure:
            if failure.timed_out:
                cache.add_timeout(request.key)
                timeouts += 1
            else:
                in_a_row += 1
            if failure.hopeless or in_a_row >= most_in_a_row or timeouts >= MOST_TIMEOUTS:
                stop.set()
            return request, failure
        in_a_row = timeouts = 0
        # Written here, in the thread, so that a reply is on the disk before anything else.
        try:
            cache.add(request.key, reply)
        except OSError:
            stop.set()
            raise
        return request, None

    def results() -> Iterator[tuple[Request, NoReplyError | None]]:
        first, *rest = missing.values()
        yield send(first, settings.transport.first_timeout)
        futures = [pool.submit(send, request, settings.transport.timeout) for request in rest]
        yield from (future.result() for future in as_completed(futures))

    if not missing:
        return failures
    at_once = settings.transport.concurrency
    with cache.room(at_once), ThreadPoolExecutor(at_once) as pool:
        try:
            for request, failure in progress_bar(results(), name, total=len(missing)):
                if failure is not None:
                    failures[request.key] = failure
                    if failure.reason != NOT_SENT:
                        log.info("%s: entry %d has no reply: %s", name, request.entry, failure)
        finally:  # after ctrl-C the pool still waits for replies under way, and they are kept
            stop.set()
    return failures

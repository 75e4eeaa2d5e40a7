"""One file from one address: tries until it is here, each going on where the last one stopped."""

import errno
import re
import shutil
import ssl
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter
from tqdm import tqdm

from workflow.lib.data.download.response import BrokenError, weigh
from workflow.lib.data.download.store import (
    Description,
    Slot,
    SourceError,
    accept,
    read_facts,
)
from workflow.lib.runtime.log import log

CONNECT_TIMEOUT = 15.0  # seconds until a connection stands
STALL_TIMEOUT = 60.0  # seconds without a byte
TRIES = 5  # in a row that bring nothing new
BACKOFF = 1.0  # seconds before the second try, twice as many before each further one
LONGEST_BACKOFF = 30.0  # seconds
LARGE = 10_000_000  # bytes from which on lines tell how far a download is
SAY_EVERY = 30.0  # seconds between two of these lines, or a tenth of the file


def download(slot: Slot, name: str, sha256: str | None) -> None:
    """Bring the file into its slot, checked; the caller holds the slot's lock.

    Args:
        slot: the address and its place in the store.
        name: what the file is to be called.
        sha256: expected digest, if it is known.

    Raises:
        SourceError: says why it did not come. What arrived is kept unless it proved wrong.
        OSError: ENOSPC if the disk is full, or will be; what arrived is kept.
    """
    furthest = slot.size_of_part()
    backoff = wait_exponential_jitter(multiplier=BACKOFF, max=LONGEST_BACKOFF, jitter=BACKOFF)

    def forgive_if_it_brought_more(state: RetryCallState) -> None:
        nonlocal furthest
        if (size := slot.size_of_part()) > furthest:
            furthest = size
            state.attempt_number = 1

    def say(state: RetryCallState) -> None:
        tried = f"{state.attempt_number} of {TRIES}"
        why = state.outcome.exception()
        log.info("%s: %s; try %s, next in %.0f s", name, why, tried, state.upcoming_sleep)

    retrying = Retrying(
        retry=retry_if_exception_type(BrokenError),
        stop=stop_after_attempt(TRIES),
        wait=lambda state: max(backoff(state), state.outcome.exception().retry_after),
        after=forgive_if_it_brought_more,
        before_sleep=say,
        reraise=True,
    )
    with _client() as client:
        retrying(_try, client, slot, name, sha256)


def _client() -> httpx.Client:
    """A client that asks for the bytes as they are, so that lengths and ranges are the file's."""
    try:
        return httpx.Client(
            verify=_trusted(),
            follow_redirects=True,
            timeout=httpx.Timeout(STALL_TIMEOUT, connect=CONNECT_TIMEOUT),
            headers={"Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SourceError(f"the proxy settings of the environment do not work: {error}") from error


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates, read once: that takes longer than a small file."""
    return httpx.create_ssl_context()


def _try(client: httpx.Client, slot: Slot, name: str, sha256: str | None) -> None:
    """Fetch what is missing, then accept the whole."""
    described = read_facts(slot.description, Description) or Description()
    here = slot.size_of_part() if slot.description.exists() else 0
    if not here or here != described.length:
        on = f", from byte {here} on" if here else ""
        log.info("downloading %s from %s%s", name, slot.shown, on)
        described = _receive(client, slot, name, sha256, described, here)
    try:
        accept(slot, name, described, sha256)
    except SourceError as reason:
        slot.discard_part()
        if here:  # put together from several tries: in one piece it may be right
            raise BrokenError(str(reason)) from reason
        raise


def _receive(
    client: httpx.Client,
    slot: Slot,
    name: str,
    sha256: str | None,
    known: Description,
    here: int,
) -> Description:
    """Ask for the file, or for what is missing of it, and write it to the part.

    Args:
        known: of what the part is a part.
        here: bytes of the part.

    Returns:
        What the server says about the whole file.
    """
    # Without any of the three nothing would tell that the rest belongs to another file.
    if here and not (known.validator or known.md5 or sha256):
        here = 0
    headers = {"Range": f"bytes={here}-"} if here else {}
    if here and known.validator:
        headers["If-Range"] = known.validator
    started = time.monotonic()
    try:
        with client.stream("GET", slot.address, headers=headers) as response:
            described, here = weigh(response, slot, name, known=known, here=here, sha256=sha256)
            _check_room(slot, described, here)
            with slot.part.open("ab") as file:
                for chunk in _reported(response.iter_bytes(), name, here, described.length):
                    file.write(chunk)
    except httpx.ConnectTimeout as error:
        raise BrokenError(f"no connection within {CONNECT_TIMEOUT:g} s") from error
    except httpx.TimeoutException as error:
        raise BrokenError(f"no data for {STALL_TIMEOUT:g} s") from error
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        raise BrokenError(_in_one_line(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(_in_one_line(error)) from error
    size = slot.size_of_part()
    if described.length is not None and size < described.length:
        raise BrokenError(f"{size} of {described.length} bytes came")
    log.info("%s: %.1f MB in %.1f s", name, size / 1e6, time.monotonic() - started)
    return described


def _check_room(slot: Slot, described: Description, here: int) -> None:
    """Say at once that a long download will not fit."""
    free = shutil.disk_usage(slot.part.parent).free
    if described.length is not None and (needed := described.length - here) > free:
        missing = f"{(needed - free) / 1e6:.1f} MB are missing: {needed / 1e6:.1f} MB are to come"
        raise OSError(errno.ENOSPC, f"{missing}, {free / 1e6:.1f} MB are free")


def _reported(chunks: Iterable[bytes], name: str, here: int, length: int | None) -> Iterator[bytes]:
    """Hand the chunks on while showing progress: a bar on a terminal, lines elsewhere."""
    on_terminal = sys.stderr.isatty()
    said, said_at = here, time.monotonic()
    bar = tqdm(
        desc=name,
        initial=here,
        total=length,
        unit="B",
        unit_scale=True,
        disable=not on_terminal,
        leave=False,
    )
    with bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))
            here += len(chunk)
            if on_terminal or (length or here) < LARGE:
                continue
            tenth = length is not None and here - said >= length / 10
            if tenth or time.monotonic() - said_at >= SAY_EVERY:
                share = f" of {length / 1e6:.0f} MB ({here / length:.0%})" if length else " MB"
                log.info("%s: %.0f%s", name, here / 1e6, share)
                said, said_at = here, time.monotonic()


def _in_one_line(error: Exception) -> str:
    """Httpx's words, without the number that the system has for it."""
    return re.sub(r"^\[.*?\] ", "", " ".join(str(error).split())) or type(error).__name__

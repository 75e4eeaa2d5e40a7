"""The download of one file from one address, in attempts that each resume the one before."""

import base64
import errno
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Event
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exception, wait_exponential_jitter
from tqdm import tqdm

from workflow.lib.data.download.body import TransientError, cut_off_if_slow, unpacked
from workflow.lib.data.download.store import HTML, SourceError, StoredFile, believed, may_be_html
from workflow.lib.runtime.connection import client_options, is_loopback
from workflow.lib.runtime.deadline import OverdueError, result_within
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.lib.runtime.retry_after import seconds_of

CONNECT_TIMEOUT = 15.0  # seconds to establish a connection
STALL_TIMEOUT = 60.0  # seconds without a byte
SLOW_TIMEOUT = 120.0  # seconds in which the headers, and then LEAST bytes at a time, must come
LEAST = 6_000  # bytes
TRIES = 5  # attempts in a row without progress
BACKOFF = 1.0  # seconds before the second try, doubled before each further one
LONGEST_BACKOFF = 30.0  # seconds
LONGEST_RETRY_AFTER = 120.0  # seconds; a server that asks for more is left for a mirror
LARGE = 10_000_000  # bytes from which the log reports progress
REPORT_EVERY = 30.0  # seconds between two such reports, or a tenth of the file


def download(file: StoredFile) -> None:
    """Download a file into the store and check it; the caller holds its lock.

    Raises:
        SourceError: says why there is no file. What arrived is kept unless it proved wrong.
        OSError: ENOSPC if the disk is full, or will be; what arrived is kept.
    """
    furthest = file.part_size()

    def reset_after_progress(state: RetryCallState) -> None:
        nonlocal furthest
        if (size := file.part_size()) >= furthest + LEAST:
            furthest = size
            state.attempt_number = 1

    def report(state: RetryCallState) -> None:
        reason = state.outcome and state.outcome.exception()
        tried, wait = f"{state.attempt_number} of {TRIES}", state.upcoming_sleep
        log.info("%s: %s; try %s, next in %.0f s", file.name, reason, tried, wait)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential_jitter(multiplier=BACKOFF, max=LONGEST_BACKOFF, jitter=BACKOFF)
        + wait_exception(lambda error: getattr(error, "retry_after", 0.0)),
        after=reset_after_progress,
        before_sleep=report,
        reraise=True,
    )

    def stay_encrypted(request: httpx.Request) -> None:
        wanted = file.address.lower().startswith("https:") and not file.sha256
        if wanted and request.url.scheme != "https":
            raise SourceError(
                "the server redirects to http, where anyone can change the file; set its sha256 in"
                " the config to allow it"
            )

    try:
        options = client_options(file.address)
        client = httpx.Client(
            follow_redirects=True,
            verify=options["verify"],
            trust_env=not is_loopback(file.address),  # redirects may need another proxy, or none
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # no file needs them
            event_hooks={"request": [stay_encrypted]},
            timeout=httpx.Timeout(STALL_TIMEOUT, connect=CONNECT_TIMEOUT),
            headers={"Accept-Encoding": "identity"},  # lengths and ranges are then the file's
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SourceError(f"the proxy settings of the environment do not work: {error}") from error
    except UserError as error:
        raise SourceError(str(error)) from error
    with client:
        retrying(_attempt, client, file)


def _attempt(client: httpx.Client, file: StoredFile) -> None:
    """Download what is missing, then accept the complete file."""
    here = file.part_size()
    if not here or here != file.known().get("length"):
        _receive(client, file, here)
    try:
        file.accept_part()
    except SourceError as reason:
        file.discard_part()
        if here:  # joined from several attempts; in one piece it may be right
            raise TransientError(str(reason)) from reason
        raise


def _receive(client: httpx.Client, file: StoredFile, here: int) -> None:
    """Request what follows the first `here` bytes, and append the body to the part."""
    known, started, headers = file.known(), time.monotonic(), {}
    etag = known.get("etag", "")
    # A weak ETag does not promise the same bytes.
    validator = etag if etag.startswith('"') else known.get("last_modified")
    # Without any of the three nothing could tell whether the rest belongs to the same file.
    if here and (validator or "md5" in known or file.sha256):
        headers = {"Range": f"bytes={here}-"} | ({"If-Range": validator} if validator else {})
    where = f"{file.shown}, from byte {here} on" if headers else file.shown
    log.info("downloading %s from %s", file.name, where)
    slow = Event()
    try:
        request = client.build_request("GET", file.address, headers=headers)
        with (
            closing(
                result_within(SLOW_TIMEOUT, lambda: client.send(request, stream=True))
            ) as response,
            cut_off_if_slow(response, LEAST, SLOW_TIMEOUT, slow),
        ):
            _check_status(response, file)
            here = here if response.status_code == 206 else 0
            length = _describe_file(response, file, here).get("length", 0)
            if (missing := length - here) > (free := shutil.disk_usage(file.part.parent).free):
                lacking = f"{(missing - free) / 1e6:.1f} MB are missing"
                room = f"{missing / 1e6:.1f} MB are to come, {free / 1e6:.1f} MB are free"
                raise OSError(errno.ENOSPC, f"{lacking}: {room}")
            with file.part.open("ab") as part:
                for chunk in _reported(unpacked(response), file.name, here, length):
                    part.write(chunk)
        if slow.is_set():
            raise httpx.ReadError("")
    except OverdueError as error:
        raise TransientError(f"no complete answer within {SLOW_TIMEOUT:g} s") from error
    except httpx.ConnectTimeout as error:
        raise TransientError(f"no connection within {CONNECT_TIMEOUT:g} s") from error
    except httpx.TimeoutException as error:
        raise TransientError(f"no data for {STALL_TIMEOUT:g} s") from error
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        too_slow = f"fewer than {LEAST} bytes in {SLOW_TIMEOUT:g} s"
        raise TransientError(too_slow if slow.is_set() else _in_one_line(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: of a host
        raise SourceError(_in_one_line(error)) from error
    if (size := file.part_size()) < length:
        raise TransientError(f"received {size} of {length} bytes")
    log.info("%s: %.1f MB in %.1f s", file.name, size / 1e6, time.monotonic() - started)


def _check_status(response: httpx.Response, file: StoredFile) -> None:
    """Raise unless the body is the file (200), or the range that was asked for (206)."""
    code, asked_for_range = response.status_code, "range" in response.request.headers
    status = f"{code} {response.reason_phrase}".strip()
    if code == 416 and asked_for_range:
        file.discard_part()
        raise TransientError("the file on the server is shorter than what has arrived")
    if code in (408, 429) or code >= 500:
        wait = seconds_of(response.headers.get("retry-after"))
        if wait > LONGEST_RETRY_AFTER:
            raise SourceError(f"{status}, come back in {wait:.0f} s")
        raise TransientError(status, wait)
    if code != 200 and not (code == 206 and asked_for_range):
        raise SourceError(status)
    # Networks that require a login answer with a page; it must not replace the part.
    is_html = response.headers.get("content-type", "").startswith("text/html")
    if is_html and not may_be_html(file.name):
        raise SourceError(HTML)


def _describe_file(response: httpx.Response, file: StoredFile, here: int) -> dict[str, Any]:
    """Keep what the headers say about the file, and only a part that the body continues.

    Returns:
        What is known about the file now; see `StoredFile.known`.
    """
    headers, described = response.headers, _headers_of_file(response)
    if response.status_code == 206:
        known = file.known()  # not every server respects If-Range
        same = all(described.get(key, value) == value for key, value in known.items())
        continues = headers.get("content-range", "").startswith(f"bytes {here}-")
        if not (same and continues) or "content-encoding" in headers:
            file.discard_part()
            raise TransientError("the file on the server has changed")
        described |= known
    else:
        framed = "content-length" in headers or "transfer-encoding" in headers
        if not (framed or "md5" in described or file.sha256):
            raise SourceError(
                "the server does not say how long the file is; set its sha256 in the config"
            )
        file.discard_part()
    write_json(file.description, described)
    return described


def _headers_of_file(response: httpx.Response) -> dict[str, Any]:
    """Return what the headers say about the whole file, even if the body is a part (206)."""
    headers = response.headers
    if "content-encoding" in headers:  # compressed unasked: they describe the compressed body
        return {}
    length, md5 = headers.get("content-length", ""), headers.get("x-ms-blob-content-md5", "")
    if response.status_code == 206:
        length = headers.get("content-range", "").rpartition("/")[2]  # * if unknown
    else:
        md5 = md5 or headers.get("content-md5", "")  # in a 206 the digest of that range alone
    try:
        digest = base64.b64decode(md5, validate=True)
    except ValueError:
        digest = b""
    described = {
        "length": int(length) if re.fullmatch("[0-9]{1,18}", length) else None,
        "etag": headers.get("etag"),
        "last_modified": headers.get("last-modified"),
        "md5": digest.hex(),
    }
    return believed(described)


def _reported(chunks: Iterable[bytes], name: str, here: int, length: int) -> Iterator[bytes]:
    """Pass the chunks on and show progress: a bar on a terminal, lines in a log."""
    last, last_time, total = here, time.monotonic(), length or None
    bar = tqdm(
        desc=name, initial=here, total=total, unit="B", unit_scale=True, leave=False, disable=None
    )  # disabled where standard error is no terminal
    with bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))
            here += len(chunk)
            tenth = length and here - last >= length / 10
            due = tenth or time.monotonic() - last_time >= REPORT_EVERY
            if due and bar.disable and (length or here) >= LARGE:
                share = f" of {length / 1e6:.0f} MB ({here / length:.0%})" if length else " MB"
                log.info("%s: %.0f%s", name, here / 1e6, share)
                last, last_time = here, time.monotonic()


def _in_one_line(error: Exception) -> str:
    """Return httpx's message without the system's error number."""
    return re.sub(r"^\[.*?\] ", "", " ".join(str(error).split())) or type(error).__name__

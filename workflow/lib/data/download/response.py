"""What a server's answer to a request for a file is worth, before a byte of it is written."""

import base64
import binascii
import re
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from workflow.lib.data.download.store import Description, Slot, SourceError, may_be_html
from workflow.lib.runtime.files import write_json

LONGEST_RETRY_AFTER = 120.0  # seconds a server may ask us to wait before we turn to a mirror


class BrokenError(SourceError):
    """Why a try ended that another try may well survive."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after  # seconds the server asks us to wait


def weigh(
    response: httpx.Response,
    slot: Slot,
    name: str,
    *,
    known: Description,
    here: int,
    sha256: str | None,
) -> tuple[Description, int]:
    """Decide whether the body is the file, the rest of the file, or neither.

    Args:
        response: the answer, its body still to come.
        slot: place of the file in the store; a part that the answer makes useless goes.
        name: what the file is to be called.
        known: of what the part in the slot is a part.
        here: bytes of the part.
        sha256: expected digest, if it is known.

    Returns:
        What the server says about the whole file, and how many bytes of it precede the body.

    Raises:
        SourceError: neither.
    """
    _check_status(response, slot)
    _check_kind(response, name)
    if response.status_code == 206:
        return _check_continuation(response, slot, known, here), here
    return _check_beginning(response, slot, sha256), 0


def _check_status(response: httpx.Response, slot: Slot) -> None:
    """Go on with 200, and with 206 if a range was asked for."""
    status = f"{response.status_code} {response.reason_phrase}".strip()
    asked_for_range = "range" in response.request.headers
    if response.status_code == 200 or (response.status_code == 206 and asked_for_range):
        return
    if response.status_code == 416 and asked_for_range:
        slot.discard_part()
        raise BrokenError("the file on the server is shorter than what has arrived")
    if response.status_code in (408, 429) or response.status_code >= 500:
        wait = _retry_after(response)
        if wait > LONGEST_RETRY_AFTER:
            raise SourceError(f"{status}, come back in {wait:.0f} s")
        raise BrokenError(status, wait)
    raise SourceError(status)


def _retry_after(response: httpx.Response) -> float:
    """Seconds to wait; the header has a number of them or a date."""
    value = response.headers.get("retry-after", "0")
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _check_kind(response: httpx.Response, name: str) -> None:
    """Refuse a page before it takes the place of a part: networks that ask for a login send one."""
    if response.headers.get("content-type", "").startswith("text/html") and not may_be_html(name):
        raise SourceError("an HTML page instead of the data; nothing of it was kept")


def _check_continuation(
    response: httpx.Response, slot: Slot, known: Description, here: int
) -> Description:
    """Make sure that what comes belongs to the part: not every server heeds If-Range."""
    new = _describe(response)
    starts = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    same = all(
        before is None or now is None or before == now
        for before, now in (
            (known.length, new.length),
            (known.etag, new.etag),
            (known.last_modified, new.last_modified),
            (known.md5, new.md5),
        )
    )
    if not (same and starts and int(starts[1]) == here and not _is_packed(response)):
        slot.discard_part()
        raise BrokenError("the file on the server has changed")
    return Description(
        known.length or new.length, known.etag, known.last_modified, known.md5 or new.md5
    )


def _check_beginning(response: httpx.Response, slot: Slot, sha256: str | None) -> Description:
    """Start anew; the description is what a next try goes on from, and an empty one ends that."""
    described = Description() if _is_packed(response) else _describe(response)
    framed = {"content-length", "transfer-encoding"} & response.headers.keys()
    if not (framed or described.md5 or sha256):
        raise SourceError(
            "the server does not say how long the file is: a sha256 in the config would"
        )
    slot.discard_part()
    write_json(slot.description, asdict(described))
    return described


def _is_packed(response: httpx.Response) -> bool:
    """Whether it comes compressed although we asked otherwise; its headers are about that then."""
    return response.headers.get("content-encoding", "identity").lower() != "identity"


def _describe(response: httpx.Response) -> Description:
    """What the headers say about the whole file, of which a 206 brings a part."""
    headers = response.headers
    length, md5 = headers.get("content-length"), headers.get("x-ms-blob-content-md5")
    if response.status_code == 206:
        length = headers.get("content-range", "").rpartition("/")[2]  # * if it does not know
    else:
        md5 = md5 or headers.get("content-md5")  # in a 206 the digest of that part alone
    return Description(
        length=int(length) if length and length.isdecimal() else None,
        etag=headers.get("etag"),
        last_modified=headers.get("last-modified"),
        md5=_hexadecimal(md5),
    )


def _hexadecimal(md5: str | None) -> str | None:
    """The digest of a Content-MD5 header, which is base64; None if it is no such thing."""
    try:
        digest = base64.b64decode(md5 or "", validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 16 else None

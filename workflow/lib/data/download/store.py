"""The store of downloads: where a file is kept, what is known about it, when it is accepted."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from filelock import AcquireReturnProxy, FileLock, Timeout

from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.files import link_or_copy, replacing, write_json
from workflow.lib.runtime.log import log
from workflow.lib.runtime.printable import keep_secrets_of

HTML = "an HTML page instead of the data; nothing was kept"


class SourceError(Exception):
    """Raised when one address does not provide the file; another may."""


class StoredFile:
    """The file of an address in the store, downloaded or not: <store>/<name>@<host>@<digest>.

    The digest is that of the address, so that no address is in the way of another.

    Args:
        address: http or https address.
        store: folder of complete and partial downloads.
        name: the name of the target; only *.html may be an HTML page.
        sha256: expected digest, if it is known.

    Raises:
        httpx.InvalidURL, UnicodeError: the address is not valid.
    """

    def __init__(self, address: str, store: Path, name: str, sha256: str | None) -> None:
        url = httpx.URL(address)
        host, path = url.netloc.decode(), url.raw_path.decode().partition("?")[0]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")] or ["index"]
        whole = url.copy_with(userinfo=b"", fragment=None)
        digest = hashlib.sha256(str(whole).encode()).hexdigest()[:16]
        keep_secrets_of(address)
        self.address, self.name, self.sha256 = address, name, sha256
        self.path = store / f"{parts[-1][:80]}@{host[:80]}@{digest}"
        if url.query:
            parts[-1] += f"@{hashlib.sha256(url.query).hexdigest()[:12]}"
        self._earlier = store.joinpath(host, *parts)
        self.part = self._beside(".part")  # the bytes received so far, from the first on
        self.description = self._beside(".part.json")  # of the file that the part belongs to
        self.record = self._beside(".record.json")  # <file>.json may be another file of the server
        # Without what may be secret: a password, an access token.
        self.shown = str(url.copy_with(userinfo=b"", query=None)) + ("?..." if url.query else "")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def known(self) -> dict[str, Any]:
        """Return what the server's headers said about the file that the part belongs to.

        Returns:
            length (bytes), etag, last_modified, md5 (hexadecimal).
        """
        return _read_facts(self.description)

    def part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def discard_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.description.unlink(missing_ok=True)

    def lock(self) -> AcquireReturnProxy:
        """Lock the file for a `with` block; the system releases the lock of a dead process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._beside(".lock"))
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: waiting for another process that downloads it", self.name)
            return lock.acquire()

    def is_intact(self) -> bool:
        """Return whether the file is there, unchanged since it was accepted, and the wanted one.

        A file that has changed is deleted. One that merely lacks the wanted digest stays until its
        successor has arrived, so that a mistyped digest costs nothing.
        """
        if not self.path.exists():
            self._move_from_earlier_place()
        if not self.path.exists():
            return False
        recorded = _read_facts(self.record).get("sha256")
        if sha256_of(self.path) != recorded:
            log.info("%s has changed since it was downloaded: fetching it again", self.path)
            self.path.unlink()
            self.record.unlink(missing_ok=True)
            return False
        return self.sha256 in (None, recorded)

    def _move_from_earlier_place(self) -> None:
        """Move the file here from where version 0.2.0 kept it, if it did."""
        record = self._earlier.with_name(self._earlier.name + ".record.json")
        with suppress(OSError):  # there is none, or its path is too long
            if self._earlier.is_file() and record.is_file():
                record.replace(self.record)
                self._earlier.replace(self.path)

    def accept_part(self) -> None:
        """Check a part that should be complete and make it the file.

        Raises:
            SourceError: it is not what it should be; the part is still there.
        """
        known = self.known()
        digest = check_file(
            self.part, self.name, self.sha256, length=known.get("length"), md5=known.get("md5")
        )
        with self.part.open("rb+") as file:
            os.fsync(file)  # or a power cut could leave a record of bytes that are not on the disk
        record = {"url": self.shown, "size": self.part_size(), "sha256": digest, **known}
        # In this order a kill in between leaves a complete part, which the next run accepts.
        write_json(self.record, record)
        self.part.replace(self.path)
        self.description.unlink(missing_ok=True)

    def place(self, target: Path) -> None:
        """Make the target a hard link to the file, or a copy where links are impossible.

        The modification time becomes now, as for any output. With the time of the download, a file
        from an earlier url, used again, could look older to Snakemake than the results of the later
        url. A file that is already linked elsewhere is copied, because links share their time, and
        results made from the other target would look out of date.
        """
        if target.exists() and target.samefile(self.path):
            return
        with replacing(target) as temporary:
            if self.path.stat().st_nlink > 1:
                shutil.copyfile(self.path, temporary)
            else:
                link_or_copy(self.path, temporary)
            os.utime(temporary)


def check_file(
    path: Path, name: str, sha256: str | None, length: int | None = None, md5: str | None = None
) -> str:
    """Compare a file with everything that is known about it; return its sha256.

    Raises:
        SourceError: says what differs.
    """
    size, found = path.stat().st_size, {"sha256": sha256_of(path)}
    with path.open("rb") as file:
        head = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        file.seek(0)
        # MD5 is the server's choice and guards against accidents only.
        weak = partial(hashlib.md5, usedforsecurity=False)
        found["md5"] = hashlib.file_digest(file, weak).hexdigest() if md5 else ""
    if not size:
        raise SourceError("an empty file; nothing was kept")
    if head.startswith((b"<!doctype html", b"<html")) and not may_be_html(name):
        raise SourceError(HTML)
    if head.startswith(b"<?xml"):  # as stores of files send their errors
        raise SourceError("an XML message instead of the data; nothing was kept")
    if length not in (None, size):
        raise SourceError(f"{size} bytes instead of {length}; nothing was kept")
    for kind, expected in (("sha256", sha256), ("md5", md5)):
        if expected not in (None, found[kind]):
            raise SourceError(f"{kind} is {found[kind]}, expected {expected}; nothing was kept")
    return found["sha256"]


def may_be_html(name: str) -> bool:
    return name.lower().endswith((".html", ".htm"))


def _is_plain(value: Any) -> bool:
    """Return whether a value is a text that can be sent in a header."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_digest(digits: int) -> Callable[[Any], bool]:
    pattern = re.compile(f"[0-9a-f]{{{digits}}}")
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


# What is believed of a fact beside a download; the file may be damaged, the server odd.
_FACTS: dict[str, Callable[[Any], bool]] = {
    "length": lambda value: type(value) is int and 0 <= value < 2**63,
    "etag": _is_plain,
    "last_modified": _is_plain,
    "md5": _is_digest(32),
    "sha256": _is_digest(64),
}


def believed(facts: Any) -> dict[str, Any]:
    """Return the facts about a file that can be true, by name."""
    found = facts.items() if isinstance(facts, dict) else ()
    return {name: value for name, value in found if name in _FACTS and _FACTS[name](value)}


def _read_facts(path: Path) -> dict[str, Any]:
    """Read the facts about a file; none if their file is missing or damaged."""
    try:
        return believed(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}

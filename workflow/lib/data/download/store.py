"""The store of downloads: where a file is kept, what is known about it, when it is accepted."""

import hashlib
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from filelock import AcquireReturnProxy, FileLock, Timeout

from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.files import link_or_copy, replacing, write_json
from workflow.lib.runtime.log import log

HTML = "an HTML page instead of the data; nothing was kept"


class SourceError(Exception):
    """Raised when one address does not provide the file; another may."""


class StoredFile:
    """The file of an address in the store, downloaded or not: <store>/<host>/<path>.

    Args:
        address: http or https address; a query becomes a digest in the file's name.
        store: folder of complete and partial downloads.
        name: the name of the target; only *.html may be an HTML page.
        sha256: expected digest, if it is known.

    Raises:
        httpx.InvalidURL: the address is not valid.
    """

    def __init__(self, address: str, store: Path, name: str, sha256: str | None) -> None:
        url = httpx.URL(address)
        path = url.raw_path.decode().partition("?")[0]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")] or ["index"]
        if url.query:
            parts[-1] += f"@{hashlib.sha256(url.query).hexdigest()[:12]}"
        self.address, self.name, self.sha256 = address, name, sha256
        self.path = store.joinpath(url.netloc.decode(), *parts)
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
            return False
        recorded = _read_facts(self.record).get("sha256")
        if sha256_of(self.path) != recorded:
            log.info("%s has changed since it was downloaded: fetching it again", self.path)
            self.path.unlink()
            self.record.unlink(missing_ok=True)
            return False
        return self.sha256 in (None, recorded)

    def accept_part(self) -> None:
        """Check a part that should be complete and make it the file.

        Raises:
            SourceError: it is not what it should be; the part is still there.
        """
        known = self.known()
        digest = check(
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


def check(
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
    if length not in (None, size):
        raise SourceError(f"{size} bytes instead of {length}; nothing was kept")
    for kind, expected in (("sha256", sha256), ("md5", md5)):
        if expected not in (None, found[kind]):
            raise SourceError(f"{kind} is {found[kind]}, expected {expected}; nothing was kept")
    return found["sha256"]


def may_be_html(name: str) -> bool:
    return name.lower().endswith((".html", ".htm"))


def _read_facts(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if the file is missing or damaged."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}

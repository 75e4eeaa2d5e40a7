"""The store of downloads: where a file lives, what is known of it, and when it is accepted."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
from filelock import FileLock, Timeout

from workflow.lib.runtime.files import replacing, sha256_of, write_json
from workflow.lib.runtime.log import log

Facts = TypeVar("Facts")


class SourceError(Exception):
    """Why an address does not give the file; another one may."""


@dataclass(frozen=True)
class Description:
    """What a server said about a file, kept beside its part: what resuming safely needs."""

    length: int | None = None  # bytes of the whole file
    etag: str | None = None
    last_modified: str | None = None
    md5: str | None = None  # hexadecimal, of the whole file

    @property
    def validator(self) -> str | None:
        """What If-Range takes; a weak ETag does not promise the same bytes."""
        return self.etag if self.etag and self.etag.startswith('"') else self.last_modified


@dataclass(frozen=True)
class Record:
    """What a file was when it was accepted; later runs hold it to that."""

    url: str
    size: int
    sha256: str
    etag: str | None
    last_modified: str | None
    md5: str | None


@dataclass(frozen=True)
class Slot:
    """An address and its place in the store: a file, and a few more named after it."""

    address: str
    file: Path

    @classmethod
    def of(cls, address: str, store: Path) -> "Slot":
        """<store>/<host>/<path>, with a digest of the query if there is one."""
        url = httpx.URL(address)
        path = url.raw_path.decode().partition("?")[0]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")] or ["index"]
        if url.query:
            parts[-1] += f"@{hashlib.sha256(url.query).hexdigest()[:12]}"
        return cls(address, store.joinpath(url.netloc.decode(), *parts))

    @property
    def shown(self) -> str:
        """The address without what may be secret in it: a password, an access token."""
        url = httpx.URL(self.address)
        return str(url.copy_with(userinfo=b"", query=None)) + ("?..." if url.query else "")

    @property
    def part(self) -> Path:
        """The bytes that have arrived so far, from the first on."""
        return self.file.with_name(f"{self.file.name}.part")

    @property
    def description(self) -> Path:
        """JSON of the Description of what the part is a part of."""
        return self.file.with_name(f"{self.file.name}.part.json")

    @property
    def record(self) -> Path:
        """JSON of the Record of the file. Not <file>.json: a server may have that file too."""
        return self.file.with_name(f"{self.file.name}.record.json")

    def size_of_part(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def discard_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.description.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes away; the system lets go of the lock of a process that dies."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.file.with_name(f"{self.file.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: waiting for another process that downloads it", name)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def is_intact(slot: Slot, sha256: str | None) -> bool:
    """Whether the store has the file, still as it was accepted, and it is the one expected.

    A file that changed since is thrown away. One that only is not what is expected now stays until
    the other has arrived, so that a mistyped digest costs nothing.
    """
    if not slot.file.exists():
        return False
    record = read_facts(slot.record, Record)
    if (
        record is None
        or slot.file.stat().st_size != record.size
        or sha256_of(slot.file) != record.sha256
    ):
        log.info("%s is not what was downloaded any more: fetching it again", slot.file)
        slot.file.unlink()
        slot.record.unlink(missing_ok=True)
        return False
    return sha256 in (None, record.sha256)


def accept(slot: Slot, name: str, described: Description, sha256: str | None) -> None:
    """Check a part that is whole and make it the file.

    Raises:
        SourceError: it is not what it should be; the part is still there.
    """
    if not slot.size_of_part():
        raise SourceError("an empty file; nothing was kept")
    check(slot.part, name, sha256=sha256, length=described.length, md5=described.md5)
    with slot.part.open("rb+") as file:
        os.fsync(file)  # or a power cut could leave a record of bytes that never reached the disk
    record = Record(
        url=slot.shown,
        size=slot.size_of_part(),
        sha256=sha256_of(slot.part),
        etag=described.etag,
        last_modified=described.last_modified,
        md5=described.md5,
    )
    # In this order a kill in between leaves a whole part, which the next run accepts as it is.
    write_json(slot.record, asdict(record))
    slot.part.replace(slot.file)
    slot.description.unlink(missing_ok=True)


def check(
    path: Path,
    name: str,
    *,
    sha256: str | None,
    length: int | None = None,
    md5: str | None = None,
) -> None:
    """Hold a file against everything that is known of it.

    Args:
        path: the file.
        name: what it is to be called; only *.html may be a page.
        sha256: expected digest, if known.
        length: expected size in bytes, if known.
        md5: the server's digest, if it sent one.

    Raises:
        SourceError: says what differs.
    """
    with path.open("rb") as file:
        head = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")) and not may_be_html(name):
        raise SourceError("an HTML page instead of the data; nothing was kept")
    size = path.stat().st_size
    if length is not None and size != length:
        raise SourceError(f"{size} bytes instead of {length}; nothing was kept")
    for kind, expected, digest in (("sha256", sha256, sha256_of), ("md5", md5, _md5_of)):
        if expected and (found := digest(path)) != expected:
            raise SourceError(f"{kind} is {found}, expected {expected}; nothing was kept")


def may_be_html(name: str) -> bool:
    return name.lower().endswith((".html", ".htm"))


def place(stored: Path, target: Path) -> None:
    """Make the target a link to the stored file, or a copy where that cannot be.

    The modification time is now, as of anything a rule makes: were it that of the download, going
    back to an earlier url could look older to Snakemake than what the later one led to. For the
    same reason a file that is in place elsewhere already is copied: links share that time, and
    what was made from the other would look out of date.
    """
    if target.exists() and target.samefile(stored):
        return
    with replacing(target) as temporary:
        if stored.stat().st_nlink > 1:
            copy(stored, temporary)
        else:
            try:
                os.link(stored, temporary)
            except OSError:  # another file system, or one without links
                copy(stored, temporary)
        os.utime(temporary)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes.

    Raises:
        SourceError: the source cannot be read.
    """
    try:
        shutil.copyfile(source, target)
    except PermissionError as error:
        if error.filename == str(source):
            raise SourceError("it may not be read") from error
        raise


def read_facts(path: Path, kind: type[Facts]) -> Facts | None:
    """A JSON file as an object, or None if there is nothing of that kind."""
    try:
        return kind(**json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _md5_of(path: Path) -> str:
    """Digest in hexadecimal; MD5 is the server's choice and guards against accidents only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()

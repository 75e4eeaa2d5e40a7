"""Digests of files: a job records those of what it writes, and the job that reads a file checks it.

The SHA-256 of a file goes to a hidden folder beside it, in the format of sha256sum. A file without
a record, of an earlier version or brought by a user, is read as it is. Files of torch and numpy are
zip files, which hold a CRC-32 of each of their parts.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from zipfile import ZipFile

from workflow.lib.runtime.errors import UserError, first_line

CHUNK = 2**22  # bytes that are read at once
THREADS = 4
LARGE = 2**26  # bytes of a file whose digest takes a while


def record_of(path: Path) -> Path:
    """Return where the digest of a file is recorded."""
    return path.parent / ".sha256" / f"{path.name}.sha256"


def check_digest(path: str | Path, digest: str | None = None) -> None:
    """Check that a file is as it was written, if its digest was recorded.

    Args:
        digest: of the file's content; computed only if there is a record.

    Raises:
        UserError: it has changed since.
    """
    record = record_of(Path(path))
    try:
        recorded = record.read_text("utf-8", errors="replace").partition(" ")[0]
    except (FileNotFoundError, NotADirectoryError):
        return
    if recorded != (digest or sha256_of(path)):
        raise UserError(
            f"{path}: damaged or changed since it was written (its SHA-256 is not the recorded "
            f"one); delete it and run again, or delete {record} to use the file as it is"
        )


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 digest of a file's content, in hexadecimal.

    That of a large file is computed once, as long as its time and size stay the same.
    """
    path = Path(path)
    status = path.stat()
    if status.st_size < LARGE:  # may be written twice within one tick of the clock
        return _digest_of(path)
    return _known_digest(path, status.st_mtime_ns, status.st_size, status.st_ino)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=16)
def _known_digest(path: Path, *_: int) -> str:
    return _digest_of(path)


def check_sums(path: Path) -> None:
    """Check the CRC-32 of every part of a file that torch wrote; torch itself does not.

    Raises:
        UserError: one differs, or the file is not torch's.
    """
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(partial(_read_through, path), range(THREADS)))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zipfile raises many kinds
        raise UserError(
            f"{path}: damaged ({first_line(error)}); delete it and run again"
        ) from error


def _read_through(path: Path, share: int) -> None:
    """Read a share of a zip file's parts to their ends, where zipfile compares the checksums.

    Each thread opens the file for itself: since Python 3.12 a ZipFile that several threads share
    reads the wrong bytes.
    """
    with ZipFile(path) as stored:
        by_size = sorted(stored.infolist(), key=lambda part: part.file_size)
        for part in by_size[share::THREADS]:
            with stored.open(part) as file:
                while file.read(CHUNK):
                    pass

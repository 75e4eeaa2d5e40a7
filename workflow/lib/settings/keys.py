"""Keys of sources, which keep the files of different ones apart in resources/."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workflow.lib.runtime.digests import LARGE, sha256_of
from workflow.lib.runtime.files import local_path, why_unreadable


def key_of(places: Sequence[str], names: Iterable[str] = ("",), **also: Any) -> str:
    """Return the key of a source: eight digits in the path under which resources/ keeps its files.

    So definitions of one name, in two checkouts or before and after a change, never share files of
    different sources. A local file counts by its content, wherever it lies, and a remote one by its
    address. Mirrors do not count, unless `url` is a local path where there is nothing.

    Args:
        places: url and mirrors, with local paths as they were found.
        names: of the files at each place; the empty name if the place is the file.
        also: what else decides what is kept, such as expected digests.
    """
    names = list(names)
    place = next((place for place in places if _is_there(place, names)), places[0])
    if "://" in place:
        url = urlsplit(place)
        host = url.netloc.rpartition("@")[2].lower()  # without a password
        told: Any = [url._replace(netloc=host, fragment="").geturl(), names]
    else:
        told = [_content_of(local_path(place) / name) or place for name in names]
    text = json.dumps([told, also], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _is_there(place: str, names: Iterable[str]) -> bool:
    """Return whether a place is a server, or holds one of these files."""
    return "://" in place or any(not why_unreadable(local_path(place) / name) for name in names)


def _content_of(path: Path) -> str | None:
    """Return what tells a file from others, None if it cannot be read.

    To read all of a large file would delay every run, so its size, its time and samples stand for
    its content.
    """
    if why_unreadable(path):
        return None
    status = path.stat()
    if status.st_size < LARGE:
        return sha256_of(path)
    found = hashlib.sha256(f"{status.st_size} {int(status.st_mtime)}".encode())
    with path.open("rb") as file:
        for start in range(0, status.st_size, status.st_size // 64):
            file.seek(start)
            found.update(file.read(4096))
    return found.hexdigest()

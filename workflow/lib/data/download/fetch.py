"""Brings files to where a rule wants them: from a server, or from a local path.

Snakemake deletes what a failed job was to make. What has arrived therefore lives in a store of its
own, whole or in part, and a rule's output is a link to it: whatever ends a download, the next run
goes on where it stopped, and a file that is whole is never asked for twice.
"""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from workflow.lib.data.download.store import (
    Slot,
    SourceError,
    check,
    copy,
    is_intact,
    place,
)
from workflow.lib.data.download.transfer import download
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.log import log


def fetch(
    source: str,
    mirrors: Sequence[str],
    names: Mapping[str, Path],
    *,
    sha256: Mapping[str, str],
    store: Path,
    key: str,
) -> None:
    """Bring several files of one folder, one after the other.

    Args:
        source: https or http address of the folder, or a local path (from here, or from ~).
        mirrors: other addresses or paths of the same folder, tried in order.
        names: where to put each file, by its name in the folder.
        sha256: expected digests by name, as far as they are known.
        store: folder for whole and partial downloads; no rule may declare it.
        key: the entry of config.yaml that names the source, such as `models.gpt2-medium-355M`.

    Raises:
        UserError: see `fetch_file`; the files before the failing one are in place.
    """
    for name, target in names.items():
        url, *others = (_join(folder, name) for folder in (source, *mirrors))
        fetch_file(url, others, target, sha256=sha256.get(name), store=store, key=key)


def fetch_file(
    url: str, mirrors: Sequence[str], target: Path, *, sha256: str | None, store: Path, key: str
) -> None:
    """Bring one file: what is on this machine first, then the addresses in order.

    A part that came from one address is never continued from another: each has its own place in
    the store, because nothing but a pinned digest could tell that both serve the same bytes.

    Args:
        url: https or http address of the file, or a local path (from here, or from ~).
        mirrors: other addresses or paths of the same file, tried in order.
        target: where to put it; it appears there whole and checked, or not at all.
        sha256: expected digest, if it is known.
        store: folder for whole and partial downloads; no rule may declare it.
        key: the entry of config.yaml that names the url, such as `datasets.instruction-data`.

    Raises:
        UserError: no address gave the file (says why, and the ways on), or the disk is full.
    """
    addresses = (url, *mirrors)
    try:
        slots = {a: Slot.of(a, store) for a in addresses if _is_remote(a)}
    except httpx.InvalidURL as error:
        raise UserError(f"{key}: not a valid address among its url and mirrors: {error}") from error
    failures: dict[str, str] = {}
    try:
        for address in addresses:
            if not _is_remote(address):
                try:
                    return _copy_local(address, target, sha256)
                except SourceError as reason:
                    failures[address] = str(reason)
            elif _take_stored(slots[address], target, sha256):
                return None
        for slot in slots.values():
            try:
                return _take_from_server(slot, target, sha256)
            except SourceError as reason:
                failures[slot.shown] = str(reason)
                log.info("%s: %s: %s", target.name, slot.shown, reason)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{key}: no room for {target.name} in {store} ({error.strerror}); free some space"
                " and run again: what has arrived is kept"
            ) from error
        raise
    raise UserError(_explain(key, target.name, failures, remote=bool(slots)))


def _join(folder: str, name: str) -> str:
    """Address of a file in a folder; a query, such as an access token, stays at the end."""
    if not _is_remote(folder):
        return str(Path(folder) / name)
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def _is_remote(address: str) -> bool:
    return address.lower().startswith(("https://", "http://"))


def _copy_local(address: str, target: Path, sha256: str | None) -> None:
    """Copy a file of the user; a link would let a later run change it."""
    source = Path(address).expanduser()
    if not source.is_file():
        raise SourceError("it is a folder" if source.is_dir() else "there is no such file")
    with replacing(target) as temporary:
        copy(source, temporary)
        check(temporary, target.name, sha256=sha256)


def _take_stored(slot: Slot, target: Path, sha256: str | None) -> bool:
    """Put a file in place that an earlier run brought; False if there is none, or not that one."""
    if not slot.file.exists():
        return False
    with slot.lock(target.name):
        if intact := is_intact(slot, sha256):
            log.info("%s: downloaded before", target.name)
            place(slot.file, target)
    return intact


def _take_from_server(slot: Slot, target: Path, sha256: str | None) -> None:
    with slot.lock(target.name):
        # Another process may have brought it while this one waited for the lock.
        if not is_intact(slot, sha256):
            download(slot, target.name, sha256)
        place(slot.file, target)


def _explain(key: str, name: str, failures: Mapping[str, str], remote: bool) -> str:
    """One line: what was wanted, from where, why it did not come, and the ways on."""
    reasons = "; ".join(f"{place}: {reason}" for place, reason in failures.items())
    if not remote:
        return f"{key}: could not copy {name} ({reasons}); correct {key}.url in config.yaml"
    return (
        f"{key}: could not get {name} ({reasons}); three ways on: set {key}.url in config.yaml to"
        f" a local copy (a path), add another address to {key}.mirrors, or run the offline default"
        " (snakemake --cores 1 results/scores.csv with the config.yaml that came with it)"
    )

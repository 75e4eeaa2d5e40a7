"""Files from a server, a mirror or a local path, put where a rule wants them.

Snakemake deletes the outputs of a failed job. Downloads, whole or partial, are therefore kept in a
store that no rule declares, and an output is a hard link to the stored file: an interrupted
download is resumed by the next run, and a complete file is never requested twice.
"""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from workflow.lib.data.download.store import SourceError, StoredFile, check_file
from workflow.lib.data.download.transfer import download
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import local_path, replacing, why_unreadable
from workflow.lib.runtime.log import log


def fetch(
    source: str,
    mirrors: Sequence[str],
    names: Mapping[str, Path],
    *,
    sha256: Mapping[str, str],
    store: Path,
    key: str,
    check: Callable[[Path], object] | None = None,
) -> None:
    """Fetch several files of one folder, one after the other.

    Args:
        source: https or http address of the folder, or a local path.
        mirrors: other addresses or paths of the same folder, tried in order.
        names: where to put each file, by its name in the folder.
        sha256: expected digests by name, as far as they are known.
        store, key, check: see `fetch_file`.

    Raises:
        UserError: see `fetch_file`; the files before the failing one are in place.
    """
    for name, target in names.items():
        url, *others = (_join(folder, name) for folder in (source, *mirrors))
        digest = sha256.get(name)
        fetch_file(url, others, target, sha256=digest, store=store, key=key, check=check)


def fetch_file(
    url: str,
    mirrors: Sequence[str],
    target: Path,
    *,
    sha256: str | None,
    store: Path,
    key: str,
    check: Callable[[Path], object] | None = None,
) -> None:
    """Fetch one file: from this machine if it is there, else from the first server that has it.

    Every address has its own place in the store. A partial download is never continued from
    another address, because only a known digest could tell that both serve the same bytes.

    Args:
        url: https or http address of the file, or a local path (`~` is expanded).
        mirrors: other addresses or paths of the same file, tried in order.
        target: where to put the file; it appears there complete and checked, or not at all.
        sha256: expected digest, if it is known.
        store: folder of complete and partial downloads; no rule may declare it.
        key: the entry of config.yaml that names the url, such as `datasets.instruction-data`.
        check: raises UserError if a file, with the target's path, does not hold what it should, as
            where a server once sent an error with status 200. Such a file is not used, and asked
            for again by the next run. A local file is not checked, as its reader says more.

    Raises:
        UserError: no address gave the file, or the disk is full.
    """
    try:
        sources = [
            StoredFile(address, store, target.name, sha256) if _is_remote(address) else address
            for address in (url, *mirrors)
        ]
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UserError(f"{key}: not a valid address in `url` or `mirrors`: {error}") from error
    remote = [source for source in sources if isinstance(source, StoredFile)]
    failures = []
    try:
        for source in sources:
            if isinstance(source, StoredFile):
                if _take(source, target, check, may_download=False):
                    return
                continue
            try:
                _copy_local(source, target, sha256)
                return
            except SourceError as reason:
                failures.append(f"{source}: {reason}")
        for source in remote:
            try:
                _take(source, target, check, may_download=True)
                return
            except SourceError as reason:
                failures.append(f"{source.shown}: {reason}")
                log.info("%s: %s", target.name, failures[-1])
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{key}: no room for {target.name} in {store} ({error.strerror}); free some space"
            " and run again: what has arrived is kept"
        ) from error
    reasons = f"{target.name} ({'; '.join(failures)})"
    if not remote:
        raise UserError(f"{key}: could not copy {reasons}; correct {key}.url")
    raise UserError(
        f"{key}: could not get {reasons}; three ways to continue: set {key}.url to"
        f" a local copy (a path), add another address to {key}.mirrors, or run the offline default"
        " (snakemake --cores 1 results/scores.csv with the config.yaml that came with it)"
    )


def _join(folder: str, name: str) -> str:
    """Return the address of a file in a folder; a query (an access token) stays at the end."""
    if not _is_remote(folder):
        return str(Path(folder) / name)
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def _is_remote(address: str) -> bool:
    return address.lower().startswith(("https://", "http://"))


def _copy_local(address: str, target: Path, sha256: str | None) -> None:
    """Copy a user's file; through a link a later run could change the original."""
    try:
        source = local_path(address)
    except ValueError as error:
        raise SourceError(str(error)) from error
    if problem := why_unreadable(source):
        raise SourceError(problem)
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        check_file(temporary, target.name, sha256)


def _take(
    file: StoredFile, target: Path, check: Callable[[Path], object] | None, *, may_download: bool
) -> bool:
    """Put a stored file in place, downloaded first if need be; return whether it is in place."""
    with file.lock():
        if file.is_intact():
            reason = _place(file, target, check)
            if reason is None:
                log.info("%s: already downloaded", target.name)
                return True
            log.info("%s: what was downloaded is not used: %s", target.name, reason)
        if may_download:
            download(file)
            if reason := _place(file, target, check):
                raise SourceError(reason)
    return may_download


def _place(file: StoredFile, target: Path, check: Callable[[Path], object] | None) -> str | None:
    """Put a stored file in place; return why it is not, if it does not hold what it should."""
    file.place(target)
    try:
        if check:
            check(target)
    except UserError as error:
        target.unlink()
        return str(error)
    return None

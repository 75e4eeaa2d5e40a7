"""A lock on a file that users, nodes and jobs share: a file beside it that names its holder.

Locks of the system are not reliable on every shared file system; that only one process can create a
file is. A process that was killed leaves its lock. The next one takes it over if it can tell that
the holder has ended.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import link_or_copy
from workflow.lib.runtime.holder import Holder
from workflow.lib.runtime.log import log

PAUSE = 1.0  # seconds between two looks at a lock
ENDING = 300.0  # seconds that a job which was cancelled may take to end
WRITING = 5.0  # seconds after which an empty lock is that of a process that was killed


@contextmanager
def held(file: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file for a `with` block; it is freed on every exit, SIGTERM included.

    Args:
        file: need not exist; its folder is made if missing.
        what: what the holder does with the file, for messages: "trains".

    Raises:
        UserError: another process holds it; names that process, the lock, and how to see that the
            lock may be deleted.
        KeyboardInterrupt: SIGTERM came and nothing else handles it.
    """
    lock, own = lock_of(file), Holder.this_process()
    with _sigterm_as_interrupt():
        lock.parent.mkdir(parents=True, exist_ok=True)
        while not _create(lock, own):
            if (text := _wait_for_end(lock, own, what)) is not None:
                log.info("%s: taken over from %s", lock, Holder.of_text(text) or "a killed process")
                _take_away(lock, text)
        try:
            yield
        finally:
            found, _ = _holder_of(lock)
            if found and found.is_same(own):
                with suppress(OSError):
                    lock.unlink()


def wait_until_free(file: Path, what: str) -> None:
    """Return once no running process holds the lock of a file; what one left behind stays.

    Args:
        file, what: see `held`.

    Raises:
        UserError: see `held`.
    """
    _wait_for_end(lock_of(file), Holder.this_process(), what)


def check_not_lost(file: Path) -> None:
    """Check that no other process holds the lock of a file, before writing the file.

    Raises:
        UserError: one does: someone deleted this process's lock while it was running.
    """
    found, _ = _holder_of(lock_of(file))
    if found and not found.is_same(Holder.this_process()):
        raise UserError(
            f"{file} now belongs to another run, of {found}: the lock of this one was deleted, so "
            "this run ends and leaves the file to that one"
        )


def lock_of(file: Path) -> Path:
    """Return the path of a file's lock."""
    return file.with_name(f"{file.name}.lock")


def _wait_for_end(lock: Path, own: Holder, what: str) -> str | None:
    """Wait for a holder that is ending.

    Returns:
        the text of a lock whose holder has ended; None if there is no lock.
    """
    began = time.monotonic()
    said = False
    while True:
        holder, text = _holder_of(lock)
        waited = time.monotonic() - began
        if text is None:
            return None
        if holder is None:  # it is being written, or was when its process was killed
            ended = None if waited < WRITING else not text.strip()
        else:
            ended = holder.has_ended(own)
        if ended:
            return text
        if ended is False or waited >= ENDING:
            raise UserError(_refusal(lock, holder, own, what))
        if not said and holder:
            log.info("Waiting for %s, which is ending", holder)
        said = said or holder is not None
        time.sleep(PAUSE)


def _refusal(lock: Path, holder: Holder | None, own: Holder, what: str) -> str:
    """Return the line on a lock that is not taken over."""
    who = str(holder) if holder else "another process, which its lock does not name,"
    sign = holder.sign_of_end(own) if holder else f"none {what} here on any machine"
    return (
        f"{lock.parent}: {who} {what} here; wait until it has ended and run again or, if {sign}, "
        f"delete {lock} and run again"
    )


def _create(lock: Path, own: Holder) -> bool:
    """Create a lock unless there is one; return whether it was created."""
    try:
        file = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(file, own.text().encode())
        os.fsync(file)
    except BaseException as error:
        lock.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(lock)
        raise
    finally:
        os.close(file)
    return True


def _take_away(lock: Path, text: str) -> None:
    """Remove a lock of this content. If another process has replaced it meanwhile, it stays."""
    aside = lock.with_name(f".{lock.name}.{os.uname().nodename}.{os.getpid()}")
    try:
        lock.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_text("utf-8", "replace") != text:
        with suppress(FileExistsError):
            link_or_copy(aside, lock)
    aside.unlink()


def _holder_of(lock: Path) -> tuple[Holder | None, str | None]:
    """Return the holder that a lock names and the lock's text.

    Returns:
        None for the holder if the text names none; None for both if there is no lock.
    """
    try:
        text = lock.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None, None
    return Holder.of_text(text), text


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Have SIGTERM raise KeyboardInterrupt where it would end the process without any clean-up."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""A lock on a file that users, nodes and jobs share: a file beside it that names its holder.

Locks of the system are not reliable on every shared file system; that only one process can create a
file is. A process that was killed leaves its lock. The next one takes it over if it can tell that
the holder has ended: its process by number and start on the same machine, its job by asking Slurm.
"""

import getpass
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import link_or_copy
from workflow.lib.runtime.log import log
from workflow.lib.runtime.printable import printable
from workflow.lib.runtime.slurm import has_slurm, states_of_job

PAUSE = 1.0  # seconds between two looks at a lock
ENDING = 300.0  # seconds that a job which was cancelled may take to end
WRITING = 5.0  # seconds after which an empty lock is that of a process that was killed
_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "TIMEOUT",
}  # fmt: skip
_ANYWHERE = {"", "localhost", "localhost.localdomain"}  # names of hosts that say nothing


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Args:
        user, host, process: its name, the machine's and its number there.
        started: when the process started, to tell it from a later one of the same number.
        machine: the running system and the space of process numbers; empty if not known.
        boot: the running system alone.
        cluster, job: of Slurm; empty outside of a job.
        since: when it took the lock, for people.
    """

    user: str
    host: str
    process: int
    started: str
    machine: str
    boot: str
    cluster: str
    job: str
    since: str

    @classmethod
    def this_process(cls) -> "Holder":
        boot = _read("/proc/sys/kernel/random/boot_id")
        space = ""
        with suppress(OSError):
            space = str(Path("/proc/self/ns/pid").readlink())
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user that only the container's host knows
            user = str(os.getuid())
        return cls(
            user=user,
            host=os.uname().nodename,
            process=os.getpid(),
            started=_start_of(os.getpid()),
            machine=f"{boot} {space}" if boot and space else "",
            boot=boot,
            cluster=os.environ.get("SLURM_CLUSTER_NAME", ""),
            job=os.environ.get("SLURM_JOB_ID", ""),
            since=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        )

    def is_same(self, other: "Holder") -> bool:
        """Return whether this is the same process."""
        return (self.host, self.machine, self.process, self.started) == (
            other.host, other.machine, other.process, other.started,
        )  # fmt: skip

    def __str__(self) -> str:
        job = f", Slurm job {self.job}" if self.job else ""
        return printable(
            f"{self.user} on {self.host} (process {self.process}{job}) since {self.since}"
        )

    def has_ended(self, own: "Holder") -> bool | None:
        """Return whether the process has ended; None if it is ending.

        Args:
            own: the process that asks.
        """
        here = self.host == own.host and self.machine == own.machine
        if here:
            if not _is_running(self.process, self.started):
                return True
        elif self.host == own.host and self.boot != own.boot and self.host not in _ANYWHERE:
            return True  # the machine was started again
        if not self.job or self.cluster != own.cluster:
            return False
        if self.job == own.job:  # Slurm started the job again, on another machine
            return not here
        state = _state_of_job(self.job)
        if state == "COMPLETING":
            return None
        return not here and state in _ENDED


@contextmanager
def held(file: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file for a `with` block; it is freed on every exit, SIGTERM included.

    Args:
        file: need not exist; its folder is made if missing.
        what: what the holder does with the file, for messages: "trains".

    Raises:
        UserError: another process holds it; names that process, and the lock to delete if it is
            known to have ended.
        KeyboardInterrupt: SIGTERM came and nothing else handles it.
    """
    lock, own = lock_of(file), Holder.this_process()
    with _sigterm_as_interrupt():
        _acquire(lock, own, what)
        try:
            yield
        finally:
            found, _ = _holder_of(lock)
            if found and found.is_same(own):
                with suppress(OSError):
                    lock.unlink()


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


def _acquire(lock: Path, own: Holder, what: str) -> None:
    """Create the lock; wait for a holder that is ending, and take over from one that has ended."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    said = False
    while not _create(lock, own):
        holder, text = _holder_of(lock)
        waited = time.monotonic() - began
        if text is None:  # it was freed meanwhile
            continue
        if holder is None:  # it is being written, or was when its process was killed
            ended = None if waited < WRITING else not text.strip()
        else:
            ended = holder.has_ended(own)
        if ended:
            log.info("%s: taken over from %s, which has ended", lock, holder or "a process")
            _take_away(lock, text)
        elif ended is None and waited < ENDING:
            if not said and holder:
                log.info("Waiting for %s, which is ending", holder)
            said = said or holder is not None
            time.sleep(PAUSE)
        else:
            raise UserError(
                f"{lock.parent}: {holder or 'another process'} {what} here; wait until it has "
                f"ended and run again or, if you are sure that it has, delete {lock}"
            )


def _create(lock: Path, own: Holder) -> bool:
    """Create a lock unless there is one; return whether it was created."""
    try:
        file = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(file, json.dumps(asdict(own), indent=1).encode() + b"\n")
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
    try:
        holder = Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None, text
    kinds = {name: int if name == "process" else str for name in asdict(holder)}
    whole = all(isinstance(getattr(holder, name), kind) for name, kind in kinds.items())
    return (holder if whole else None), text


def _state_of_job(job: str) -> str:
    """Return a job's state: COMPLETED if Slurm has forgotten it; empty if Slurm cannot be asked."""
    if not has_slurm() or not job.isalnum():
        return ""
    if (found := states_of_job(job)) is None:
        return ""
    states = set(found)
    return (states - _ENDED or states or {"COMPLETED"}).pop()


def _is_running(process: int, started: str) -> bool:
    """Return whether a process of this machine is running that started then."""
    try:
        os.kill(process, 0)  # signal 0 only asks whether there is such a process
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    now = _start_of(process)
    return not (started and now) or started == now


def _start_of(process: int) -> str:
    """Return when a process started, in ticks since its machine did; empty if not known."""
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":  # it has ended, and its parent has not asked yet
        return "" if len(fields) < 20 else "ended"
    return fields[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


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

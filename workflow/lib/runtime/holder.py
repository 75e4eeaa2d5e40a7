"""Who holds a lock, written into the lock, and whether that process has ended.

On the same machine a process is known by its number and start. Of one on another machine, Slurm
tells if it is part of a job. Otherwise only a person can tell.
"""

import getpass
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from workflow.lib.runtime.printable import printable
from workflow.lib.runtime.slurm import has_slurm, states_of_job

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

    @classmethod
    def of_text(cls, text: str) -> "Holder | None":
        """Return the holder that the text of a lock names; None if it names none."""
        try:
            holder = cls(**json.loads(text))
        except (ValueError, TypeError):
            return None
        kinds = {name: int if name == "process" else str for name in asdict(holder)}
        whole = all(isinstance(getattr(holder, name), kind) for name, kind in kinds.items())
        return holder if whole else None

    def text(self) -> str:
        """Return what is written into a lock."""
        return json.dumps(asdict(self), indent=1) + "\n"

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

    def sign_of_end(self, own: "Holder") -> str:
        """Return how a person sees that the process has ended.

        Args:
            own: the process that asks.
        """
        if self.job.isalnum():
            other = f" on the cluster {self.cluster}" if self.cluster != own.cluster else ""
            return printable(f"`squeue -j {self.job}`{other} does not list that job")
        return printable(f"`ps -p {self.process}` on {self.host} does not list that process")

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

"""A machine of the cluster: namespaces with a process that holds them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.support.paths import ROOT

PATIENCE = 180  # seconds that anything may take on a machine however busy
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
# Every machine has these to itself.
PRIVATE = (Path("/tmp"), Path("/run"), Path("/dev/shm"))


class Machine:
    """One machine: a name, an address, files of its own and a process table of its own.

    Args:
        name: its host name.
        folder: of its files.
        mounts: what lies where on it, in place of the files of this computer.
    """

    def __init__(self, name: str, folder: Path, mounts: dict[Path, Path]) -> None:
        self.name = name
        self.folder = folder
        self.mounts = mounts
        self.pid = 0  # of the first process, as seen from outside
        self._holder: subprocess.Popen | None = None

    def start(self) -> None:
        """Switch it on; it has no network yet but loopback."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        # The first process reaps what others leave behind, because it ignores their ends.
        script = "\n".join(
            ["set -e", *_mounting(self.folder, self.mounts), f"hostname {self.name}",
             "ip link set lo up", f"touch {ready}",
             "exec env --ignore-signal=CHLD sleep infinity"]
        )  # fmt: skip
        with (self.folder / "start.log").open("w") as log:
            self._holder = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "unshare", *NAMESPACES, "--mount-proc",
                 "--fork", "--kill-child", "sh", "-c", script],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        holder = self._holder
        wait_for(lambda: ready.exists() or holder.poll() is not None)
        assert ready.exists(), (self.folder / "start.log").read_text()
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text()
        self.pid = int(children)
        (self.folder / "pid").write_text(f"{self.pid}")

    def stop(self) -> None:
        """Switch it off, as a power cut would: all its processes end at once."""
        if self._holder:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._holder.kill()
            self._holder.wait(PATIENCE)
            self._holder = None
        (self.folder / "pid").unlink(missing_ok=True)

    def processes(self) -> Iterator[tuple[int, list[str]]]:
        """Yield its processes, by their number outside, with their command lines."""
        own = Path(f"/proc/{self.pid}/ns/pid").readlink()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if (entry / "ns/pid").readlink() == own:
                        words = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
                        yield int(entry.name), [word.decode(errors="replace") for word in words]


def entering(pid: int) -> list[str]:
    """Return what to put before a command that is to run on the machine with that process."""
    return ["nsenter", f"--target={pid}", *NAMESPACES]


def wait_for(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Return once the condition holds."""
    until = time.monotonic() + patience
    while True:
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if condition():
                return
        assert time.monotonic() < until, f"{patience:.0f} s were not enough"
        time.sleep(0.1)


def _mounting(folder: Path, mounts: dict[Path, Path]) -> Iterator[str]:
    """Yield the commands that hide what is private and lay out the rest."""
    needed = {Path(path).resolve() for path in (sys.base_prefix, sys.prefix, ROOT)}
    for path in [path for path in needed if _closed_to_others(path) == path]:
        needed = needed - {path} | set(path.iterdir())
    closed = {found for path in needed if (found := _closed_to_others(path))}
    for where in (*PRIVATE, *sorted(closed)):
        below = sorted(path for path in needed if path.is_relative_to(where))
        yield from _hide(where, below, folder / "kept")
    for where, what in mounts.items():
        if what.is_dir():
            yield f"mkdir -p {where}"
        yield f"mount --bind {shlex.quote(str(what))} {where}"


def _hide(where: Path, but: Iterable[Path], keep: Path) -> Iterator[str]:
    """Yield the commands that empty a folder for this machine, but for some that lie below it."""
    aside = [(path, keep / str(number)) for number, path in enumerate(but)]
    for path, kept in aside:
        yield f"{_making(path, kept)} && mount --rbind {shlex.quote(str(path))} {kept}"
    mode = "755" if where not in PRIVATE or where.name == "run" else "1777"
    yield f"mount -t tmpfs -o mode={mode} tmpfs {where}"
    for path, kept in aside:
        quoted = shlex.quote(str(path))
        yield f"{_making(path, path)} && mount --rbind {kept} {quoted} && umount -l {kept}"


def _making(what: Path, where: Path) -> str:
    """Return the command that makes what a folder or a file can be mounted on."""
    above, quoted = shlex.quote(str(where.parent)), shlex.quote(str(where))
    return f"mkdir -p {quoted}" if what.is_dir() else f"mkdir -p {above} && touch {quoted}"


def _closed_to_others(path: Path) -> Path | None:
    """Return the folder above a path, or itself, that ordinary users may not enter, if any."""
    for folder in (*reversed(path.parents), path):
        if folder.is_dir() and not folder.stat().st_mode & 0o001:
            return folder
    return None

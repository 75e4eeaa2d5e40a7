"""Scripts that run in forks of one process, which imports what they need once for all of them.

Importing torch takes longer than most jobs compute. The server reads which modules a script imports
at its top, imports them, and forks. The fork is a process like any other: it has the exit status,
the signals and the output of a Python that was started for the script. A script whose imports fail
or leave a thread running gets a Python of its own.
"""

import ast
import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

LARGEST_REQUEST = 2**16  # bytes
# Only a process of one thread forks safely, and libraries read these when they are imported.
# `prepare_device` sets the threads of a job with more; pyarrow's thread only frees memory. The
# variables that Snakemake sets for a job are those of its process, and of those that it starts.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "JE_ARROW_MALLOC_CONF": "background_thread:false"
}
ASK_TO_END = (signal.SIGINT, signal.SIGTERM)


class ScriptServer:
    """The server as its client sees it; the process starts with the first script."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._requests: socket.socket

    def run(self, script: str, environment: dict[str, str]) -> int:
        """Run a script, and wait until it has ended.

        Args:
            script: path of the file.
            environment: variables to set.

        Returns:
            its exit status; the negative number of the signal that ended it, if one did.
        """
        asked = time.monotonic()
        answer, theirs = socket.socketpair()
        with answer:
            with theirs, self._lock:
                self._start_if_needed(environment)
                request = json.dumps([script, environment, asked]).encode()
                socket.send_fds(self._requests, [request], [theirs.fileno()])
            return int(answer.recv(16) or -signal.SIGKILL)  # nothing if the server was killed

    def _start_if_needed(self, environment: dict[str, str]) -> None:
        if self._process is None or self._process.poll() is not None:
            # Keeps each request whole, and ends with this process.
            self._requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                    env=os.environ | environment | ONE_THREAD,
                    pass_fds=[theirs.fileno()],
                )
            atexit.register(self.end)

    def end(self) -> None:
        """End the process, and count its time and that of the scripts as that of children."""
        self._requests.close()
        if self._process:
            self._process.wait()


def serve(requests: socket.socket) -> None:
    """Run a script for each request, until the client has ended."""
    signals = Signals()
    while True:
        request, files, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 1)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended since
                pass
        if not request:
            return
        script, environment, asked = json.loads(request)
        forks = import_modules_of(Path(script))
        with socket.socket(fileno=files[0]) as answer:
            if os.fork():
                continue
            requests.close()  # the process that waits for the script begins here
            job = get_context("fork").Process(
                target=run_script, args=(script, environment, asked, signals, forks)
            )
            job.start()
            job.join()
            with suppress(OSError):  # nobody waits any more
                answer.send(str(job.exitcode).encode())
            os._exit(0)


class Signals:
    """The signals that ask a process to end; the server goes on, and its scripts get theirs."""

    def __init__(self) -> None:
        self._latest: dict[int, float] = {}
        self._handlers = {number: signal.signal(number, self._note) for number in ASK_TO_END}

    def _note(self, number: int, frame: Any) -> None:
        self._latest[number] = time.monotonic()

    def restore(self, since: float) -> None:
        """Restore the handlers; a signal that came since the given time ends this process."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
            if self._latest.get(number, 0) > since and handler != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)


def import_modules_of(script: Path) -> bool:
    """Import the modules of this project that a script imports at its top.

    Returns:
        whether the script can run in a fork. If not, it reports in a Python of its own what fails:
        half an import may fail differently when it is repeated.
    """
    try:
        names = [
            node.module
            for node in ast.parse(script.read_bytes()).body
            if isinstance(node, ast.ImportFrom) and node.module
        ]
        if new := [name for name in names if name not in sys.modules]:
            for name in new:
                importlib.import_module(name)
            gc.freeze()  # a collection in a fork would copy the memory it shares with the server
            sys.stdout.flush()  # else each fork would print what an import printed
        return len([*Path("/proc/self/task").iterdir()]) == 1
    except (Exception, SystemExit):
        return False


def run_script(
    script: str, environment: dict[str, str], asked: float, signals: Signals, forks: bool
) -> None:
    """Run a script as Python runs a file."""
    signals.restore(since=asked)
    os.environ.update(environment)
    tempfile.tempdir = None  # that of the server, if an import asked for it
    if not forks:
        os.execv(sys.executable, [sys.executable, script])
    sys.argv, sys.path = [script], [str(Path(script).parent), *sys.path]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # without freeing what was imported, which takes a while

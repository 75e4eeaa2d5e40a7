"""The processes of one machine, started and watched by torchrun.

For several machines Slurm starts this on each:
`python -m workflow.lib.parallel.launching.node FILE`.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import SignalException, Std
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import (
    RendezvousClosedError,
    RendezvousError,
    RendezvousTimeoutError,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from workflow.lib.parallel.launching import worker
from workflow.lib.parallel.launching.meeting import Meeting, MissingNodeError, meet
from workflow.lib.parallel.launching.notes import Note, note_of_exit
from workflow.lib.runtime.errors import UserError, first_line

ROOT = Path(__file__).resolve().parents[4]
SECONDS_TO_END = 20  # torchrun asks processes to end, and kills those that still run after 30


def run_node(description: Path, meeting: Meeting) -> bool:
    """Start this machine's processes and wait until all have ended.

    When one fails the others are ended. Notes beside the description say what happened.

    Returns:
        whether they succeeded.

    Raises:
        KeyboardInterrupt: a signal asked this process to end; its processes have ended.
    """
    # torchrun replaces the handler of SIGTERM while it has processes to end.
    with handled({signal.SIGTERM: interrupt, signal.SIGINT: _pass_on}):
        return _run_node(description, meeting)


def _run_node(description: Path, meeting: Meeting) -> bool:
    _silence_torchrun()
    node = meeting.nodes[0] if len(meeting.nodes) == 1 else os.environ["SLURMD_NODENAME"]
    folder = description.parent
    os.environ["AGENT_PID"] = str(os.getpid())
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    printed = folder / "printed" / node
    try:
        address = meet(meeting, node)
    except UserError as error:
        Note("unreachable", meeting.nodes.index(node), f"from {node}, {error}").leave(folder)
        return False
    except MissingNodeError as error:
        Note("rendezvous", meeting.nodes.index(node), f"{node}: {error}").leave(folder)
        return False
    redirects = {number: Std.OUT if number == 0 else Std.ALL for number in range(meeting.gpus)}
    config = LaunchConfig(
        min_nodes=len(meeting.nodes),
        max_nodes=len(meeting.nodes),
        nproc_per_node=meeting.gpus,
        run_id=meeting.name,
        rdzv_backend="c10d",
        rdzv_endpoint=meeting.endpoint,
        rdzv_configs={
            "join_timeout": meeting.patience,
            "read_timeout": int(meeting.patience),
            "is_host": not meeting.port,
        },
        local_addr=address,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(printed), redirects=redirects),
    )
    try:
        elastic_launch(config, sys.executable)("-m", worker.__name__, str(description))
    except ChildFailedError as error:
        first = min(failure.timestamp for failure in error.failures.values())
        for rank, failure in error.failures.items():
            # Those that torchrun ended after the first failure get no note.
            in_time = failure.timestamp < first + SECONDS_TO_END
            if failure.exitcode != -signal.SIGTERM and in_time:
                last_line = _last_line(printed, failure.local_rank)
                where = f"on {node} " if len(meeting.nodes) > 1 else ""
                note_of_exit(rank, failure.exitcode, last_line, where).leave(folder)
        return False
    except SignalException as error:
        raise KeyboardInterrupt from error
    except (RendezvousError, RendezvousClosedError, RendezvousTimeoutError, OSError) as error:
        Note("rendezvous", meeting.nodes.index(node), f"{node}: {first_line(error)}").leave(folder)
        return False
    return True


@contextmanager
def handled(handlers: Mapping[int, Callable[..., None]]) -> Iterator[None]:
    """Give signals these handlers; at the end they get back those that they had.

    One that raises an error must not stay: Python would print it if the signal came at its exit.
    """
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(*_: Any) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


def _pass_on(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _last_line(printed: Path, local_rank: int) -> str:
    """Return the last line that a process printed to stderr; empty if none was kept."""
    for path in printed.rglob(f"{local_rank}/stderr.log"):
        if lines := path.read_text("utf-8", "replace").split("\n"):
            return next((line for line in reversed(lines) if line.strip()), "")
    return ""


def _silence_torchrun() -> None:
    """Turn off torchrun's reports of failures, which are summarized in one line instead."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher")):
            logging.getLogger(name).disabled = True


def main(description: Path) -> None:
    """Run the processes of one of several machines; exit with status 1 if any failed."""
    meeting = json.loads(description.read_text("utf-8"))["meeting"]
    try:
        sys.exit(not run_node(description, Meeting(**meeting)))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it ends by itself


if __name__ == "__main__":
    main(Path(sys.argv[1]))

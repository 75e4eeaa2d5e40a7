"""Notes that the processes of a failed job leave, and which of them tells the cause.

When one process fails, those that wait for it fail too. Each leaves a note, a small file. The
process that started them reads the notes and raises the error that was the cause.
"""

import json
import re
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from workflow.lib.runtime.errors import PassingError, UserError
from workflow.lib.runtime.files import write_json

CLOSED = re.compile("closed|reset|broken pipe", re.IGNORECASE)  # connections of dead processes
OF_NODES = ("unreachable", "rendezvous")
AGAIN = "run the same command again to go on"


@dataclass(frozen=True)
class Note:
    """Why a process ended.

    Args:
        kind: user, what a user has to put right; passing, what may not come again; defect, of the
            pipeline; signal, it was killed or crashed; waiting, other ranks did not answer;
            unreachable, no connection from one node to another; rendezvous, the nodes did not meet.
        rank: of the process; for unreachable and rendezvous the number of the node.
        message: one line for a user; the traceback of a defect.
        missing: ranks that did not answer, if waiting.
    """

    kind: Literal["user", "passing", "defect", "signal", "waiting", "unreachable", "rendezvous"]
    rank: int
    message: str
    missing: tuple[int, ...] = ()

    def leave(self, folder: Path) -> None:
        """Write the note to a folder, unless the process already left one."""
        path = folder / f"note-{self.kind in OF_NODES:d}-{self.rank}.json"
        if not path.exists():
            write_json(path, asdict(self))


class DefectError(Exception):
    """A defect of the pipeline in one of its processes; holds the traceback."""


def note_of_exit(rank: int, exitcode: int, last_line: str, where: str = "") -> Note:
    """Describe the end of a process that left no note itself.

    Args:
        exitcode: of the process; below 0 the number of the signal that ended it.
        last_line: the last one it printed, if any.
        where: "on", the name of its node and a space, if there are several nodes.
    """
    if exitcode >= 0:
        said = last_line or "no message"
        return Note("signal", rank, f"{where}ended with status {exitcode} ({said})")
    name = signal.Signals(-exitcode).name
    perhaps = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return Note("signal", rank, f"{where}was ended by {name}{perhaps}")


def raise_cause(folder: Path, world_size: int, patience: float) -> None:
    """Raise the error that made a job fail, as far as the notes tell.

    Args:
        folder: of the notes.
        world_size: how many processes there were.
        patience: seconds they waited for each other.

    Raises:
        UserError: in one line, which names the process if only one failed; a PassingError unless it
            is a mistake.
        DefectError: a defect of the pipeline.
    """
    found = [Note(**json.loads(path.read_text("utf-8"))) for path in folder.glob("note-*.json")]
    notes = sorted(found, key=lambda note: note.rank)
    for note in notes:
        if note.kind == "user":
            raise UserError(note.message)
    for note in notes:
        if note.kind == "passing":
            raise PassingError(note.message)
    for note in notes:
        if note.kind == "defect":
            raise DefectError(f"process {note.rank} of {world_size}:\n{note.message}")
    for note in notes:
        if note.kind == "signal":
            raise PassingError(f"process {note.rank} of {world_size} {note.message}; {AGAIN}")
    for note in notes:
        if note.kind == "unreachable":
            raise UserError(f"the nodes do not reach each other: {note.message}")
    for note in notes:
        if note.kind == "waiting" and note.missing:
            which = f"process {' and '.join(map(str, note.missing))} of {world_size}"
            if CLOSED.search(note.message):
                raise PassingError(f"{which} ended unexpectedly ({note.message}); {AGAIN}")
            raise PassingError(
                f"{which} did not answer for {patience:g} s ({note.message}); {AGAIN}, with a "
                "larger `patience` if it was only slow"
            )
    for note in notes:
        kind = "the connection failed" if note.kind == "waiting" else "no rendezvous"
        raise PassingError(f"the {world_size} processes did not connect: {kind} ({note.message})")
    raise PassingError(f"the {world_size} processes ended without a message; {AGAIN}")

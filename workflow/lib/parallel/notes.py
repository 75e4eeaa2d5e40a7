"""What the processes of a job leave behind when it fails, and which of it was the cause.

When one process fails, the others fail too, for want of it. Each leaves a note, a small file, and
whoever started them reads the notes and says the one thing that matters.
"""

import json
import re
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json

CLOSED = re.compile("closed|reset|broken pipe", re.IGNORECASE)  # connections of the dead
AGAIN = "run the same command again to go on"


@dataclass(frozen=True)
class Note:
    """Why a process ended.

    Args:
        kind: user, what a user can put right; defect, of the pipeline; signal, it was killed or
            crashed; waiting, others were missing; rendezvous, they did not come together.
        rank: the process; for rendezvous the machine.
        message: one line for a user; the traceback of a defect.
        missing: ranks that did not answer, if waiting.
    """

    kind: Literal["user", "defect", "signal", "waiting", "rendezvous"]
    rank: int
    message: str
    missing: tuple[int, ...] = ()

    def leave(self, folder: Path) -> None:
        """Write it where the others' notes are; the first note of a process stays."""
        path = folder / f"note-{self.kind == 'rendezvous':d}-{self.rank}.json"
        if not path.exists():
            write_json(path, asdict(self))


class DefectError(Exception):
    """An error in a process that is the pipeline's own; holds that process's traceback."""


def silent(rank: int, exitcode: int, last_words: str) -> Note:
    """The note of a process that could leave none.

    Args:
        exitcode: of the process; below 0 the number of the signal that ended it.
        last_words: the last line it printed, if any.
    """
    if exitcode >= 0:
        return Note("signal", rank, f"ended with status {exitcode} ({last_words or 'no word'})")
    name = signal.Signals(-exitcode).name
    perhaps = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return Note("signal", rank, f"was ended by {name}{perhaps}")


def raise_cause(folder: Path, size: int, patience: float) -> None:
    """Raise what the notes say was the cause of the failure.

    Args:
        folder: of the notes.
        size: how many processes there were.
        patience: seconds they waited for each other.

    Raises:
        UserError: in one line, with the process if it was that one's alone.
        DefectError: the pipeline's own.
    """
    found = [Note(**json.loads(path.read_text("utf-8"))) for path in folder.glob("note-*.json")]
    notes = sorted(found, key=lambda note: note.rank)
    for note in notes:
        if note.kind == "user":
            raise UserError(note.message)
    for note in notes:
        if note.kind == "defect":
            raise DefectError(f"process {note.rank} of {size}:\n{note.message}")
    for note in notes:
        if note.kind == "signal":
            raise UserError(f"process {note.rank} of {size} {note.message}; {AGAIN}")
    for note in notes:
        if note.kind == "waiting" and note.missing:
            which = " and ".join(map(str, note.missing))
            if CLOSED.search(note.message):
                raise UserError(f"process {which} of {size} is gone ({note.message}); {AGAIN}")
            raise UserError(
                f"process {which} of {size} did not answer for {patience:g} s ({note.message}); "
                f"{AGAIN}, with a larger `patience` if it was only slow"
            )
    for note in notes:
        kind = "the connection between them failed" if note.kind == "waiting" else "no rendezvous"
        raise UserError(f"the {size} processes did not come together: {kind} ({note.message})")
    raise UserError(f"the {size} processes ended without a word; {AGAIN}")

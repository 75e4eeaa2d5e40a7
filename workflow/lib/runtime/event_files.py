"""TensorBoard's event files, written by an optional library."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from workflow.lib.runtime.errors import UserError

# The library to look for, and where its SummaryWriter is. The first is lighter: the second imports
# tensorflow if it is installed.
WRITERS = {"tensorboardX": "tensorboardX", "tensorboard": "torch.utils.tensorboard"}


def check_library() -> str:
    """Return the module that has a SummaryWriter.

    Raises:
        UserError: neither library is installed.
    """
    if found := next((module for name, module in WRITERS.items() if find_spec(name)), None):
        return found
    raise UserError(
        "tensorboard: true needs the library tensorboardX or tensorboard, and neither is "
        "installed; run `python -m pip install -r envs/requirements-tensorboard.txt`, or set "
        "`tensorboard: false`"
    )


class EventFiles:
    """One event file in a folder, in place of those of earlier runs.

    Args:
        folder: where it is written; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        writer = import_module(check_library()).SummaryWriter
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        # A TensorBoard that has read the earlier files forgets what it has of step 0 and later.
        self._writer = writer(str(folder), purge_step=0)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step, by name, and write them at once."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and end the file."""
        self._writer.close()

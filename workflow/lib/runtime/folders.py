"""The folder of results, looked at before anything writes to it."""

import os
from collections.abc import Container
from pathlib import Path

from workflow.lib.runtime.errors import UserError

LOCKS = Path(".snakemake/locks")
_OF_FILES = {".csv", ".html", ".json", ".log", ".npz", ".png", ".pth", ".safetensors"}


def check_results(path: Path, names: Container[str]) -> None:
    """Check that no folder has the place of a file, which would be noticed when it is written.

    Args:
        path: the folder, which need not exist yet.
        names: of models, recipes and so on, whose folders may end like a file.

    Raises:
        UserError: a folder is named like a result.
    """
    for folder, folders, _ in os.walk(path):
        for name in folders:
            if Path(name).suffix in _OF_FILES and name not in names:
                wrong = Path(folder, name)
                raise UserError(f"{wrong} is a folder where a file should be; move it away")


def refuse_while_running() -> None:
    """Raise an error if a run of Snakemake uses this folder.

    Raises:
        UserError: one does, or was killed and left its lock.
    """
    if LOCKS.is_dir() and any(LOCKS.iterdir()):
        raise UserError(
            f"{LOCKS} says that a run of Snakemake uses this folder; wait until it has ended (or, "
            "if it was killed: snakemake --unlock)"
        )

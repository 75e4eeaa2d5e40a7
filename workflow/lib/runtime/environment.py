"""Environment variables of this process and its children, set before torch is imported."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[3]


def prepare_environment() -> None:
    """Set the variables that the user has not set, and put this project first on Python's path."""
    # Snakemake only appends to the path of its jobs, so another package named `workflow` that the
    # user has on PYTHONPATH would be imported instead.
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [str(ROOT), *(folder for folder in others if folder not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    # Waiting threads sleep instead of spinning, which would make training several times slower
    # beside another busy program.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Without it, torch's native code prints pages of messages when one of several processes ends.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

"""Environment variables that work only if they are set before torch is imported."""

import os


def prepare_environment() -> None:
    """Set the variables that the user has not set; child processes inherit them."""
    # Waiting threads sleep instead of spinning, which would make training several times slower
    # beside another busy program.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Without it, torch's native code prints pages of messages when one of several processes ends.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

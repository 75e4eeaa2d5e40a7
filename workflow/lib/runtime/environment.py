"""Environment variables that count only if they are set before torch is imported."""

import os


def prepare_environment() -> None:
    """Set them, unless the user has; programs started from this one inherit them."""
    # Threads that wait for each other should sleep, not spin: beside any other busy program
    # spinning makes training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # When one of several processes ends, torch's native code prints pages about its connections.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

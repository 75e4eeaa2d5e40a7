"""Where to compute: GPU or CPU, and with how many threads."""

import os

import torch

from workflow.lib.errors import UserError


def prepare_device(name: str, threads: int | None) -> torch.device:
    """Choose the device (section 7.4) and set torch's threads.

    Args:
        name: auto, cpu, cuda or mps; auto takes the first there is of cuda, mps, cpu.
        threads: CPU threads; all that this process may use if None.

    Raises:
        UserError: the named device is not there.
    """
    torch.set_num_threads(threads or _allotted_threads())
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in available.items() if there), "cpu")
    if not available.get(name, True):
        raise UserError(f"device: {name} is not available here; set `device: auto` in config.yaml")
    return torch.device(name)


def _allotted_threads() -> int:
    """A cluster's share for this job, else every processor this process may run on."""
    if share := os.environ.get("SLURM_CPUS_PER_TASK"):
        return int(share)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Where to compute, how exactly and with how many threads."""

import ctypes
import os
import resource
import sys

import torch

from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing


def prepare_device(computing: Computing, number: int = 0, of: int = 1) -> torch.device:
    """Choose the device (section 7.4), set torch's threads and how exact CUDA's products are.

    Args:
        computing: device auto takes the first there is of cuda, mps, cpu; threads None takes all
            that this process may use; with a precision other than fp32, CUDA multiplies float32
            matrices in TF32.
        number, of: this process's, from 0, among those on this machine: each has its GPU, or its
            share of the threads.

    Raises:
        UserError: the named device is not there, or fewer GPUs than processes.
    """
    name = computing.device
    torch.set_num_threads(max(1, (computing.threads or _allotted_threads()) // of))
    _keep_freed_memory()
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in available.items() if there), "cpu")
    if not available.get(name, True):
        raise UserError(f"device: {name} is not available here; set `device: auto` in config.yaml")
    if name == "cuda":  # elsewhere the setting would mean something else
        exact = computing.precision == "fp32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
    if name != "cpu" and of > 1:
        there = torch.cuda.device_count() if name == "cuda" else 1
        if there < of:
            raise UserError(
                f"gpus: {of}, but device {name} is here {there} times; lower gpus of the recipe"
            )
        torch.cuda.set_device(number)
        return torch.device(name, number)
    return torch.device(name)


def trains_in_bf16(device: torch.device, precision: str) -> bool:
    """Whether finetuning multiplies matrices in bfloat16: by itself on CUDA devices that can.

    Args:
        precision: auto, fp32 or bf16.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16"


def make_repeatable(device: torch.device) -> None:
    """Let CUDA add up in the same order every time, as a CPU does with the same threads.

    Where an operation has no such order there is a warning, which is better than no training.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False


def describe(device: torch.device) -> str:
    """The device, and how much of it is used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def peak_memory(device: torch.device) -> int:
    """The most bytes in use at a time so far: the GPU's on CUDA, else this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _allotted_threads() -> int:
    """A cluster's share for this job, else every processor this process may run on."""
    if share := os.environ.get("SLURM_CPUS_PER_TASK"):
        return int(share)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Have Linux's allocator hand freed memory out again instead of giving it back.

    Every step of a training frees what the next one asks for. Not so the largest blocks: lying
    among small ones that stay, they would need ever more room (fast/cpu_kernels.py keeps those).
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD: from here on a mapping of its own
        library.mallopt(-1, -1)  # M_TRIM_THRESHOLD: nothing is given back at the end

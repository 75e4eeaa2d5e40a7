"""The device to compute on, its precision, and the number of threads."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing


def prepare_device(
    computing: Computing, local_rank: int = 0, local_world_size: int = 1
) -> torch.device:
    """Choose the device (section 7.4); set torch's threads.

    Products of float32 matrices stay in float32, torch's default, so that a GPU's responses are
    those of a CPU up to rounding. CUDA's TF32 would keep 10 bits of each factor.

    Args:
        computing: device auto is the first available of cuda, mps, cpu; threads None are all that
            this process may use.
        local_rank: this process among those on this machine, from 0.
        local_world_size: their number; each gets a GPU or its share of the threads.

    Raises:
        UserError: the device is not available, or there are fewer GPUs than processes.
    """
    name = computing.device
    torch.set_num_threads(max(1, (computing.threads or _allotted_threads()) // local_world_size))
    _keep_freed_memory()
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    if not available.get(name, True):
        raise UserError(f"device: {name} is not available here; set `device: auto`")
    if name != "cpu" and local_world_size > 1:
        found = torch.cuda.device_count() if name == "cuda" else 1
        if found < local_world_size:
            raise UserError(
                f"gpus: {local_world_size}, but this machine has {found} {name} devices; lower gpus"
                " of the recipe"
            )
        torch.cuda.set_device(local_rank)
        return torch.device(name, local_rank)
    return torch.device(name)


def trains_in_bf16(device: torch.device, precision: str) -> bool:
    """Return whether finetuning multiplies matrices in bfloat16.

    Args:
        device: the device of the weights.
        precision: fp32, bf16, or auto: bf16 on CUDA devices that support it.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16"


def make_repeatable(device: torch.device) -> None:
    """Make CUDA sum in the same order every time, as a CPU does with the same number of threads.

    An operation without a deterministic implementation raises an error. With a mere warning
    (`warn_only`), torch would let the backward pass of attention sum in any order. To be called
    before the first matrix product: torch looks for cuBLAS's variable only then.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def order_is_free() -> Iterator[None]:
    """Lift `make_repeatable` where every number is written once, whatever the order.

    On CUDA torch waits for the GPU in each repeatable write by index, which no graph may do.
    """
    if not torch.are_deterministic_algorithms_enabled():
        yield
        return
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True)


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host that CUDA can copy while it still computes; others as it is."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the host to a device, on CUDA without waiting."""
    return pinned(tensor, device).to(device, non_blocking=device.type == "cuda")


def describe(device: torch.device) -> str:
    """Return the name of the device; for a CPU, with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def peak_memory(device: torch.device) -> int:
    """Return the most bytes in use so far, of the GPU on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _allotted_threads() -> int:
    """Return the CPUs that Slurm allots to this job, else all that this process may run on."""
    if share := os.environ.get("SLURM_CPUS_PER_TASK"):
        return int(share)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Make Linux's allocator reuse freed memory instead of returning it to the system.

    Every training step frees what the next one allocates. The largest blocks are excepted: between
    small ones that stay they would fragment the heap (fast/cpu_kernels.py reuses those).
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD: larger blocks get their own mapping
        library.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap

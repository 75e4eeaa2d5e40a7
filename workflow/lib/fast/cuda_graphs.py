"""CUDA graphs: computations of fixed sizes, each launched as a whole.

A training step of GPT-2 medium is thousands of kernels of a few microseconds each. Launched one by
one they keep a fast GPU waiting for the processor. A graph launches them all at once, but always
for the same sizes and with the same places in memory for what goes in and comes out.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from workflow.lib.model.device import moved, pinned
from workflow.lib.runtime.errors import first_line, is_out_of_memory
from workflow.lib.runtime.log import log

Result = TypeVar("Result")
MOST = 64  # graphs that are kept: each takes megabytes for its thousands of kernels


class Recorder(Protocol):
    """What calls and captures computations."""

    def call(self, action: Callable[[], Tensor]) -> Tensor:
        """Compute in the surroundings of a capture, without capturing."""

    def capture(self, action: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Record a computation; return what repeats it, and the tensor of its result."""


def has_graphs(device: torch.device) -> bool:
    """Return whether a device launches graphs."""
    return device.type == "cuda"


class Graphs:
    """Computations by their sizes: called the first time, captured the second, then replayed.

    All three launch the same kernels, so that a result should not depend on which of them made it
    (tests/gpu). A size that is met once costs no capture. Graphs compute in the same memory, which
    they keep.

    Args:
        device: to compute on; one without graphs is called every time.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.recorder: Recorder | None = CudaRecorder(device) if has_graphs(device) else None
        self.inputs: dict[Hashable, list[Tensor]] = {}
        self.captured: dict[Hashable, tuple[Callable[[], object], Tensor]] = {}

    def __call__(self, name: Hashable, action: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Return `action(*inputs)`, computed on the device.

        Args:
            name: of the action; with the shapes of its inputs it tells what is computed.
            inputs: on the host.

        Returns:
            a tensor that the next call, of whatever name, may overwrite.
        """
        if self.recorder is None:
            return action(*(moved(x, self.device) for x in inputs))
        size = (name, *(x.shape for x in inputs))
        known = size in self.inputs
        if not known:
            self.inputs[size] = [torch.empty_like(x, device=self.device) for x in inputs]
        fixed = self.inputs[size]
        for there, here in zip(fixed, inputs, strict=True):
            there.copy_(pinned(here, self.device), non_blocking=True)
        if size not in self.captured:
            compute = partial(action, *fixed)
            if not known or len(self.captured) == MOST:
                return self.recorder.call(compute)
            self.captured[size] = self.recorder.capture(compute)
        replay, result = self.captured[size]
        replay()
        return result

    def or_without(self, compute: Callable[[], Result]) -> Result:
        """Return `compute()`; where it fails, free all graphs and compute without any from then on.

        Memory may be too small for graphs, or a library may refuse to be recorded. What fails for
        another reason fails again.

        Args:
            compute: calls this; called again from its beginning.
        """
        try:
            return compute()
        except RuntimeError as error:
            if not self.inputs or self.recorder is None:
                raise
            full = is_out_of_memory(error)
            reason = "not enough GPU memory" if full else first_line(error)
        log.info("going on without CUDA graphs, slower: %s", reason)
        self.recorder = None
        self.inputs.clear()
        self.captured.clear()
        torch.cuda.empty_cache()
        return compute()


class CudaRecorder:
    """Computations on a stream of their own, as captures need, in one pool of memory.

    A process should not have several with graphs at a time: torch has 32 streams in turn, and may
    free what cuBLAS works in on the stream of a graph that is deleted.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def call(self, action: Callable[[], Tensor]) -> Tensor:
        """Compute on the stream: libraries load and allocate what a capture could not."""
        self.stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self.stream):
                return action()
        finally:  # what is computed in place of a failed action comes after it, too
            torch.cuda.current_stream().wait_stream(self.stream)

    def capture(self, action: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Record a computation that was called before."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.stream(self.stream),  # left even if the end of the capture fails
            torch.cuda.graph(graph, pool=self.pool, stream=self.stream),
        ):
            result = action()
        return graph.replay, result

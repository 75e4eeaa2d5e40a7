"""CUDA graphs without CUDA: operations on tensors are recorded, and repeated on the same tensors.

As a graph does, a repetition calls no Python of ours: whatever depends on anything but the contents
of its tensors comes out as it was recorded. As on CUDA, recording computes nothing, and refuses to
read a number from a tensor or to make a tensor of numbers.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# A wait for the device, and a copy from the host whose source is gone when it is repeated.
FORBIDDEN = {"aten::_local_scalar_dense", "aten::lift_fresh", "aten::nonzero", "aten::is_nonzero"}


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert operation._schema.name not in FORBIDDEN, operation._schema.name
        kwargs = kwargs or {}
        for argument, value in zip(operation._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.before += [(each, each.clone()) for each in tree_leaves(value)]
        found = operation(*args, **kwargs)
        self.calls.append((operation, args, kwargs, found))
        return found


class RecordedGraphs:
    """Calls, and captures that can be repeated; in the place of `CudaRecorder`.

    Attributes:
        called, captured, replayed: how often each was done.
    """

    def __init__(self, device: torch.device) -> None:
        assert device.type == "cpu"
        self.called = self.captured = self.replayed = 0
        self.results: list[Tensor] = []

    def call(self, action: Callable[[], Tensor]) -> Tensor:
        self.called += 1
        return action()

    def capture(self, action: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.captured += 1
        with _Recording() as recording:
            result = action()
        with torch.no_grad():
            for tensor, content in reversed(recording.before):
                tensor.copy_(content)
        self.results.append(result)

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            for other in self.results:  # all graphs compute in the same memory
                other.fill_(torch.nan if other.is_floating_point() else -1)
            for operation, args, kwargs, found in recording.calls:
                again = operation(*args, **kwargs)
                returns = operation._schema.returns
                if all(each.alias_info is None for each in returns):
                    for there, here in zip(tree_leaves(found), tree_leaves(again), strict=True):
                        if isinstance(there, Tensor):
                            there.copy_(here)

        return replay, result


def record_graphs(monkeypatch) -> None:
    """Have every device launch graphs, recorded ones."""
    monkeypatch.setattr("workflow.lib.fast.cuda_graphs.CudaRecorder", RecordedGraphs)
    for module in ("fast.cuda_graphs", "training.finetune", "generation.responses"):
        monkeypatch.setattr(f"workflow.lib.{module}.has_graphs", lambda _: True)

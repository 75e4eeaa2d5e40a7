"""Linear layers whose large products oneDNN makes on x86 processors.

torch leaves float32 products on a CPU to MKL. oneDNN, which torch brings along and uses for other
types, makes those of a packed batch faster, most of all the output head's (benchmarks/README.md).
The products are the same sums; small ones stay with MKL, because a call of oneDNN costs more.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from workflow.lib.fast import recycling
from workflow.lib.fast.recycling import gradient_memory

LARGE = 2**19  # elements of a weight from which on oneDNN is used; GPT-2's have 2**19.2 and more
LONG = 2**14  # terms of a sum from which on MKL is the faster one


class Linear(nn.Linear):
    """`nn.Linear`, in all but who multiplies."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.numel() >= LARGE and _may_use_onednn(x):
            return _OneDNNLinear.apply(x, self.weight, self.bias)
        return super().forward(x)


def _may_use_onednn(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.dim() > 1
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., in) times the transpose of (out, in): the call that torch's compiler makes, too."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _OneDNNLinear(torch.autograd.Function):
    """y = x W^T + b, for x (..., in), W (out, in), b (out,) or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            long = len(weight) >= LONG
            of_x = grad @ weight if long else product(grad, weight.T)
        grad = grad.flatten(0, -2)
        if ctx.needs_input_grad[1]:
            rows = x.flatten(0, -2)
            if weight.numel() >= recycling.LARGE:
                of_weight = torch.mm(grad.T, rows, out=gradient_memory(weight))
            else:
                of_weight = product(grad.T, rows.T)
        if ctx.needs_input_grad[2]:
            of_bias = grad.sum(0)
        return of_x, of_weight, of_bias

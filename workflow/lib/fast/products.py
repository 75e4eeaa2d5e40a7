"""Matrix products by oneDNN, and linear layers that use it.

torch leaves float32 matrix products on a CPU to MKL. oneDNN, which torch also ships, computes the
large ones of a packed batch faster; without AVX-512 only in the forward pass
(benchmarks/README.md). The sums are the same up to rounding.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

MKL_TERMS = 2**14  # terms of a sum from which MKL is faster again


@cache
def onednn_works() -> bool:
    """Return whether oneDNN computes a small product as it should on this machine.

    torch calls it by a private operation, which another release may lack or change.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):  # made for x86
        return False
    x, weight, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.arange(4.0)
    try:
        found = product(x, weight, bias)
    except (AttributeError, RuntimeError, TypeError):  # missing, or called differently
        return False
    expected = x @ weight.T + bias
    return found.shape == expected.shape and torch.allclose(found, expected)


def onednn_for_gradients() -> bool:
    """Return whether oneDNN computes gradients faster than MKL, by the processor's instructions.

    Fixed, not measured at the start: a measurement can come out either way, and so would the bits
    of the result.
    """
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply (..., in) by the transpose of (out, in), as torch's compiler does."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class GradientMemory:
    """Memory for the next gradient of one weight; a new block where none was handed back."""

    def __init__(self) -> None:
        self.buffer: Tensor | None = None
        self.in_use = False  # whether gradients are written to it at all

    def take(self, weight: Tensor) -> Tensor:
        """Return a tensor of the weight's shape; what it holds has to be overwritten."""
        self.in_use = True
        buffer, self.buffer = self.buffer, None
        return torch.empty_like(weight) if buffer is None else buffer


class FastLinear(nn.Linear):
    """An `nn.Linear` whose float32 products on a CPU are oneDNN's."""

    memory: GradientMemory | None = None  # for the gradient of its weight, if that is reused

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)  # nn.Linear's would initialize weights
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.computes(x):
            return _OneDNNLinear.apply(x, self.weight, self.bias, self.memory)
        return super().forward(x)

    def computes(self, x: Tensor) -> bool:
        """Return whether oneDNN is given this input; torch computes the others."""
        autocast = torch.is_autocast_enabled("cpu")
        return x.dtype == torch.float32 and x.dim() > 1 and x.numel() > 0 and not autocast


class _OneDNNLinear(torch.autograd.Function):
    """The function y = x W^T + b, for x (..., in), W (out, in), b (out,) or None."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, memory: GradientMemory | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        x_grad = weight_grad = bias_grad = None
        onednn = onednn_for_gradients()
        if ctx.needs_input_grad[0]:
            few = len(weight) < MKL_TERMS
            x_grad = product(grad, weight.T) if onednn and few else grad @ weight
        grad = grad.flatten(0, -2)
        if ctx.needs_input_grad[1]:
            rows = x.flatten(0, -2)
            if ctx.memory:
                weight_grad = torch.mm(grad.T, rows, out=ctx.memory.take(weight))
            else:
                weight_grad = product(grad.T, rows.T) if onednn else grad.T @ rows
        if ctx.needs_input_grad[2]:
            bias_grad = grad.sum(0)
        return x_grad, weight_grad, bias_grad, None

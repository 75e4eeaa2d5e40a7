"""Faster CPU layers, which replace those of a finished model, as LoRA's layers do.

torch leaves float32 matrix products on a CPU to MKL. oneDNN, which torch also ships, computes the
large ones of a packed batch faster, most of all those of the output head; without AVX-512 only in
the forward pass (benchmarks/README.md). The sums are the same up to rounding. Small products stay
with MKL: calling oneDNN costs more.

The largest gradients are written to the same memory in every step. A CPU's allocator would return
blocks of that size to the system and get them back page by page, each cleared first, which takes up
to a fifth of a step for the token embeddings and the output head of GPT-2 small.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.optim import Optimizer

ONEDNN_WEIGHTS = 2**19  # elements from which oneDNN is faster; GPT-2's have 2**19.2 or more
MKL_TERMS = 2**14  # terms of a sum from which MKL is faster again
RECYCLED_WEIGHTS = 2**24  # elements from which the memory of a gradient is kept


def speed_up(model: nn.Module, device: torch.device) -> None:
    """Replace the large layers of a model by faster ones with the same weights and names.

    Nothing changes on devices other than a CPU. Without oneDNN linear layers stay as they are.

    Args:
        model: changed in place; state_dict and parameters stay the same objects.
        device: where the model will compute.
    """
    if device.type != "cpu":
        return
    for name, layer in list(model.named_modules()):
        if type(layer) is nn.Linear and layer.weight.numel() >= ONEDNN_WEIGHTS and onednn_works():
            model.set_submodule(name, FastLinear(layer))
        elif type(layer) is nn.Embedding and layer.weight.numel() >= RECYCLED_WEIGHTS:
            model.set_submodule(name, FastEmbedding(layer))


def recycle_gradients(model: nn.Module, optimizer: Optimizer) -> None:
    """Hand the memory of large gradients back to their layers after every step.

    These gradients are None after `optimizer.step()`. Only for a single
    process: several keep their gradients in the buffers that they exchange.

    Args:
        model: after `speed_up`; its other layers are left alone.
        optimizer: of the model's weights.
    """
    layers = [part for part in model.modules() if isinstance(part, FastLinear | FastEmbedding)]
    large = [layer for layer in layers if layer.weight.numel() >= RECYCLED_WEIGHTS]

    def hand_back(*_: Any) -> None:
        for layer in large:
            if layer.memory.in_use:  # not under autocast, where torch computes
                layer.memory.buffer, layer.weight.grad = layer.weight.grad, None

    optimizer.register_step_post_hook(hand_back)


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

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)  # nn.Linear's would initialize weights
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.memory = GradientMemory()

    def forward(self, x: Tensor) -> Tensor:
        autocast = torch.is_autocast_enabled("cpu")
        if x.dtype == torch.float32 and x.dim() > 1 and x.numel() and not autocast:
            return _OneDNNLinear.apply(x, self.weight, self.bias, self.memory)
        return super().forward(x)


class _OneDNNLinear(torch.autograd.Function):
    """The function y = x W^T + b, for x (..., in), W (out, in), b (out,) or None."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, memory: GradientMemory
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
            if weight.numel() >= RECYCLED_WEIGHTS:
                weight_grad = torch.mm(grad.T, rows, out=ctx.memory.take(weight))
            else:
                weight_grad = product(grad.T, rows.T) if onednn else grad.T @ rows
        if ctx.needs_input_grad[2]:
            bias_grad = grad.sum(0)
        return x_grad, weight_grad, bias_grad, None


class FastEmbedding(nn.Embedding):
    """An `nn.Embedding` whose gradient on a CPU is written to the memory of the step before."""

    def __init__(self, layer: nn.Embedding) -> None:
        super().__init__(layer.num_embeddings, layer.embedding_dim, _weight=layer.weight)
        self.weight = layer.weight
        self.memory = GradientMemory()

    def forward(self, token_ids: Tensor) -> Tensor:
        return _Lookup.apply(token_ids, self.weight, self.memory)


class _Lookup(torch.autograd.Function):
    """An embedding lookup: token ids (...) and weight (V, D) to rows (..., D)."""

    @staticmethod
    def forward(ctx: Any, token_ids: Tensor, weight: Tensor, memory: GradientMemory) -> Tensor:
        ctx.save_for_backward(token_ids, weight)
        ctx.memory = memory
        return weight[token_ids]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        token_ids, weight = ctx.saved_tensors
        weight_grad = ctx.memory.take(weight).zero_()
        return None, weight_grad.index_add_(0, token_ids.flatten(), grad.flatten(0, -2)), None

"""The memory of large gradients, used again in the next step.

On a CPU, blocks of this size are given back to the system and come again page by page, each cleared
first: for the token embeddings and the output head of GPT-2 small up to a fifth of a step.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LARGE = 2**24  # elements of a weight


def keep_gradients(weights: list[nn.Parameter]) -> None:
    """Remember large gradients as memory for the next ones, before they are set to None.

    Those whose memory `gradient_memory` gave; and none of several processes', which exchange them.
    """
    if dist.is_available() and dist.is_initialized():
        return
    for weight in weights:
        if hasattr(weight, "spare"):
            weight.spare = weight.grad


def gradient_memory(weight: Tensor) -> Tensor:
    """A tensor of a weight's shape with anything in it, for its next gradient."""
    spare, weight.spare = getattr(weight, "spare", None), None
    return torch.empty_like(weight) if spare is None else spare


class Embedding(nn.Embedding):
    """`nn.Embedding`, in all but where its gradient lies."""

    def forward(self, numbers: Tensor) -> Tensor:
        if self.weight.numel() >= LARGE and self.weight.device.type == "cpu":
            return _Lookup.apply(numbers, self.weight)
        return super().forward(numbers)


class _Lookup(torch.autograd.Function):
    """Rows of (V, D) by their numbers (...), to (..., D)."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(numbers, weight)
        return weight[numbers]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        numbers, weight = ctx.saved_tensors
        of_weight = gradient_memory(weight).zero_()
        return None, of_weight.index_add_(0, numbers.flatten(), grad.flatten(0, -2))

"""The output head and the cross-entropy of its logits, one part of the vocabulary after the other.

The logits of a batch of GPT-2 are 50 MB and more. torch's cross-entropy and its gradient read and
write tensors of that size several times, from memory that is slower than the products. The part
for a few thousand tokens stays in the processor's cache from its product to its exponentials, and
again from its gradient to the products with that.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from workflow.lib.fast.products import (
    FastLinear,
    GradientMemory,
    onednn_for_gradients,
    product,
)

PART = 2**13  # tokens of the vocabulary at a time


class FastHead(FastLinear):
    """An output head; the gradient of its weight is written to the memory of the step before."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.memory: GradientMemory = GradientMemory()


def cross_entropies(head: nn.Module, states: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each target with the logits of its state.

    Args:
        head: turns states (M, D) into logits (M, V).
        states: (M, D).
        targets: (M,).

    Returns:
        (M,).
    """
    if isinstance(head, FastHead) and head.bias is None and head.computes(states):
        with_gradient = torch.is_grad_enabled()
        return _CrossEntropies.apply(states, head.weight, targets, head.memory, with_gradient)
    return cross_entropy(widened(head(states)), targets, reduction="none")


def widened(logits: Tensor) -> Tensor:
    """Return logits of bfloat16 in float32, in which a loss is to be computed.

    Autocast does so on a CPU. On CUDA and MPS a cross-entropy of bfloat16 logits would be rounded
    to bfloat16.
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _CrossEntropies(torch.autograd.Function):
    """The cross-entropies of x W^T with targets, for x (M, D), W (V, D), targets (M,).

    With logits z, of which t are those of the targets, they are log(sum(exp(z - max))) - (t - max).
    The gradient of z is softmax(z), less 1 at the target. Its first term is the product with each
    part; its second one needs only the rows of W that belong to targets.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        memory: GradientMemory,
        with_gradient: bool,
    ) -> Tensor:
        at_targets = x.new_zeros(len(x))
        highest, sums, parts = [], [], []
        for start in range(0, len(weight), PART):
            logits = product(x, weight[start : start + PART])  # (M, PART)
            at_targets += _of_targets(logits, targets - start)
            highest.append(logits.amax(1))
            exponentials = logits.sub_(highest[-1][:, None]).exp_()
            sums.append(exponentials.sum(1))
            if with_gradient:
                parts.append(exponentials)
        tops = torch.stack(highest)  # (parts, M)
        top = tops.amax(0)
        scales = (tops - top).exp()
        total = (torch.stack(sums) * scales).sum(0)
        ctx.save_for_backward(x, weight, targets)
        ctx.memory, ctx.parts, ctx.shares = memory, parts, scales / total
        return total.log() - (at_targets - top)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, targets = ctx.saved_tensors
        parts, ctx.parts = ctx.parts, None  # overwritten below
        x_grad = -grad[:, None] * weight[targets] if ctx.needs_input_grad[0] else None
        weight_grad = ctx.memory.take(weight) if ctx.needs_input_grad[1] else None
        onednn = onednn_for_gradients()
        for number, (part, share) in enumerate(zip(parts, ctx.shares, strict=True)):
            tokens = slice(number * PART, (number + 1) * PART)
            part.mul_((grad * share)[:, None])
            if x_grad is not None:
                rows = weight[tokens]
                x_grad = x_grad.add_(product(part, rows.T) if onednn else part @ rows)
            if weight_grad is not None:
                torch.mm(part.T, x, out=weight_grad[tokens])
        if weight_grad is not None:
            weight_grad.index_add_(0, targets, x * grad[:, None], alpha=-1)
        return x_grad, weight_grad, None, None, None


def _of_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logit of each row's target, 0 where that is none of these."""
    inside = (targets >= 0) & (targets < logits.shape[1])
    found = logits.gather(1, targets.where(inside, 0)[:, None])[:, 0]
    return found.where(inside, 0)

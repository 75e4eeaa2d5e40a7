"""Faster CPU layers, which replace those of a finished model, as LoRA's layers do.

Large matrix products are oneDNN's (products.py), and the output head's loss is computed in parts
(head.py). Small products stay with MKL: calling oneDNN costs more.

The largest gradients are written to the same memory in every step. A CPU's allocator would return
blocks of that size to the system and get them back page by page, each cleared first, which takes up
to a fifth of a step for the token embeddings and the output head of GPT-2 small.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.optim import Optimizer

from workflow.lib.fast.head import FastHead
from workflow.lib.fast.products import FastLinear, GradientMemory, onednn_works

ONEDNN_WEIGHTS = 2**19  # elements from which oneDNN is faster; GPT-2's have 2**19.2 or more
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
            large = layer.weight.numel() >= RECYCLED_WEIGHTS  # as the output head's
            model.set_submodule(name, FastHead(layer) if large else FastLinear(layer))
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
    layers = [part for part in model.modules() if isinstance(part, FastHead | FastEmbedding)]

    def hand_back(*_: Any) -> None:
        for layer in layers:
            if layer.memory.in_use:  # not under autocast, where torch computes
                layer.memory.buffer, layer.weight.grad = layer.weight.grad, None

    optimizer.register_step_post_hook(hand_back)


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

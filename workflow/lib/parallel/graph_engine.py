"""A model in one process on a GPU, whose passes are launched as CUDA graphs."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from workflow.lib.fast.buckets import BucketedBatch, bucketed_losses, fill_up
from workflow.lib.fast.cuda_graphs import Graphs
from workflow.lib.fast.packing import Batch
from workflow.lib.model.gpt import GPTModel
from workflow.lib.parallel.engine import Engine, Result


class GraphEngine(Engine):
    """An engine with a CUDA graph for each size of batch; packed, so dropout must be off.

    Losses and gradients are those of `Engine` up to rounding. Where graphs fail, kernels are
    launched one by one, with the same results.

    Args:
        model: on the device to compute on.
        options: `micro_batches` and `bf16`, see `Engine`.
    """

    def __init__(self, model: GPTModel, **options: Any) -> None:
        super().__init__(model, **options)
        self.graphs = Graphs(model.tok_emb.weight.device)

    def backward(self, inputs: Tensor, targets: Tensor) -> None:
        """Compute the gradients of a batch's loss; see `Engine`."""
        compute = super().backward

        def afresh() -> None:
            gradients, views = self._gradients
            gradients.zero_()
            for weight, gradient in views:
                weight.grad = gradient
            compute(inputs, targets)

        self.graphs.or_without(afresh)

    def add_gradients(self, batch: Batch, counted: int, last: bool) -> None:
        """Add the gradients of a micro-batch; see `Engine`."""
        filled = fill_up([batch], learns=True)
        self._compute(filled._replace(counts=filled.counts / counted), learns=True)

    def summed_losses(self, batches: list[Batch], last: bool) -> Tensor:
        """Return the summed losses of each batch, (K,); see `Engine`."""
        filled = fill_up(batches, learns=False)
        compute = partial(self._compute, filled, learns=False)
        return self.graphs.or_without(compute).clone()  # the next pass may overwrite them

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that computes with the model and can be called again."""
        return self.graphs.or_without(partial(function, *arguments))

    def _compute(self, batch: BucketedBatch, learns: bool) -> Tensor:
        """Return the loss of each batch, (K,); add their gradients if it learns."""

        def losses_of(*tensors: Tensor) -> Tensor:
            # Weights that autocast kept from a capture would not be those of a replay.
            with torch.set_grad_enabled(learns), self.autocast(cache_enabled=False):
                losses = bucketed_losses(self.model, BucketedBatch.of(tensors))
            if learns:
                losses.sum().backward()
            return losses.detach()

        return self.graphs(learns, losses_of, *batch.tensors)

    @cached_property
    def _gradients(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The memory of all gradients, where graphs add to them, and each weight's part of it."""
        learning = [weight for weight in self.model.parameters() if weight.requires_grad]
        memory = learning[0].new_zeros(sum(map(torch.numel, learning)))
        parts = memory.split([*map(torch.numel, learning)])
        views = [part.view_as(weight) for part, weight in zip(parts, learning, strict=True)]
        return memory, list(zip(learning, views, strict=True))

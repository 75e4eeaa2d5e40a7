"""A model computed by several processes, which share the sequences of every batch.

All draw the same batches from the same random numbers. Each computes the loss of its own sequences,
divided by the targets of the whole batch, so that the gradients of all processes add up to those
of the batch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from workflow.lib.fast.packing import Batch
from workflow.lib.model.gpt import GPTModel
from workflow.lib.parallel.engine import Engine, Result
from workflow.lib.parallel.world import World
from workflow.lib.tokens.collate import IGNORE_INDEX

# float32 each: a weight that trains, its gradient and the two moments of AdamW; a frozen weight.
BYTES_PER_TRAINED_WEIGHT = 16
BYTES_PER_FROZEN_WEIGHT = 4
SHARE_FOR_WEIGHTS = 0.6  # of a GPU's memory; the rest is for activations


class DistributedEngine(Engine):
    """A model in one of several processes.

    Args:
        model: on the CPU, the same in every process; changed in place.
        world: the processes.
        device: of this process.
        sharding: full: each process holds a part of every weight, and of its gradient and AdamW's
            moments (FSDP2); none: each holds all of them (DDP); auto: full if a GPU is too small.
        options: see `Engine`.
    """

    def __init__(
        self,
        model: GPTModel,
        world: World,
        device: torch.device,
        sharding: str = "none",
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.world = world
        if sharding == "auto":
            sharding = "full" if is_too_large(model, device) else "none"
        self.sharded = sharding == "full"
        self.wrapped: nn.Module
        if self.sharded:
            from workflow.lib.parallel.sharding import shard_weights

            self.wrapped = shard_weights(model, _Calling(model), device)
        else:
            model.to(device)
            self.wrapped = DistributedDataParallel(_Calling(model), gradient_as_bucket_view=True)
            self.wrapped.register_comm_hook(None, _sum_gradients)

    def summed_losses(self, batches: list[Batch], last: bool) -> Tensor:
        """Return the summed losses of this rank's sequences of each batch.

        Gradients are added up over the ranks in the backward pass of the last micro-batch.
        """
        if isinstance(self.wrapped, DistributedDataParallel):
            self.wrapped.require_backward_grad_sync = last  # what DDP's no_sync() sets
        shards = [shard_batch(*batch, self.world) for batch in batches]
        own = [(inputs, targets) for inputs, targets, _ in shards]
        losses = self.wrapped(partial(super().summed_losses, own, last))
        return losses * losses.new_tensor([counts for _, _, counts in shards])

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that computes with the model; all ranks must if it is sharded."""
        return self.wrapped(partial(function, *arguments)) if self.sharded else function(*arguments)

    def takes_part(self, decision: bool = True) -> bool:
        """Return whether this rank takes part: the leader, or all with their parts of weights."""
        if self.sharded:
            return self.world.broadcast(decision)
        return decision and self.world.is_leader

    def full_state(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return full tensors to the leader; the others get an empty dict.

        Sharded ones are gathered one after the other in the leader's main memory, so that no other
        rank ever holds more than one of them.
        """
        if not self.sharded:
            return tensors if self.world.is_leader else {}
        from workflow.lib.parallel.sharding import gather_full

        return gather_full(tensors, keep=self.world.is_leader)

    def local_state(self, full: Tensor, like: Tensor) -> Tensor:
        """Return this rank's part of a full tensor that all have read, sharded as `like` is."""
        if not self.sharded:
            return full
        from workflow.lib.parallel.sharding import local_part

        return local_part(full, like)


def shard_batch(inputs: Tensor, targets: Tensor, world: World) -> tuple[Tensor, Tensor, bool]:
    """Select the sequences of a batch that this rank computes: every world_size-th by length.

    A rank for which none is left takes the longest, which then must not count: every rank computes
    something, because each waits for the gradients of all.

    Args:
        inputs, targets: (B, T); at least one target counts.

    Returns:
        inputs and targets, with at least one target, and whether they count.
    """
    places = torch.arange(1, targets.shape[1] + 1)
    lengths = ((targets != IGNORE_INDEX) * places).amax(1)  # (B,), up to the last that counts
    by_length = lengths.argsort(descending=True, stable=True)[: int((lengths > 0).sum())]
    own = by_length[world.rank :: world.world_size]
    rows = own if len(own) else by_length[:1]
    return inputs[rows], targets[rows], len(own) > 0


def is_too_large(model: GPTModel, device: torch.device) -> bool:
    """Return whether training needs more than 0.6 of a GPU's memory before the first sequence."""
    if device.type != "cuda":
        return False
    sizes = {True: BYTES_PER_TRAINED_WEIGHT, False: BYTES_PER_FROZEN_WEIGHT}
    needed = sum(weight.numel() * sizes[weight.requires_grad] for weight in model.parameters())
    return needed > SHARE_FOR_WEIGHTS * torch.cuda.get_device_properties(device).total_memory


class _Calling(nn.Module):
    """A module whose forward calls functions of the model: where DDP and FSDP put their hooks."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[[], Result]) -> Result:
        return function()  # its arguments are bound: FSDP would move them to the GPU


def _sum_gradients(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Reduce DDP's gradients to their sum over all ranks, not to their mean."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])

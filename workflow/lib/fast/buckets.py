"""Packed batches filled up to a few sizes, for CUDA graphs, each of which is of one size.

A batch is packed (packing.py) and filled up to the next of a few sizes, its bucket, with positions
and predictions that nothing depends on. One gather lays out queries, keys and values together, and
the backward passes of gathers gather, too: their sums have one order, and nothing is sorted for it.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from workflow.lib.fast.packing import Batch, pack, weighted_losses
from workflow.lib.model.gpt import CausalAttention, GPTModel

POSITIONS, PLACES, SHARED = 64, 32, 64  # the least difference between two sizes
STEPS = 8  # of larger sizes between a power of two and the next
UNUSED = torch.zeros(1, dtype=torch.int64)


class Taken(NamedTuple):
    """The rows that a gather takes from (K, ...), and the inverse for its backward pass.

    Args:
        indices: J of them in any shape, each below K.
        first: (K,), where each row was first taken; J if it was not.
        more: (S, W), where the rows of `which` were taken again; filled up with J.
        which: (K,), the number in `more` of each row; S if it was not taken again.
    """

    indices: Tensor
    first: Tensor = UNUSED
    more: Tensor = UNUSED
    which: Tensor = UNUSED


class BucketedBatch(NamedTuple):
    """The N positions and M predictions of K batches, laid out as B rows of T places.

    Args:
        token_ids, positions: (N,).
        rows: (B, T) of the positions, with W = B - 1.
        packed: (N,) of the B * T places.
        predicting: (M,) of the positions, with W = B - 1.
        targets: (M,).
        counts: (K, M), how many targets of each batch a prediction stands for; 0 for a filler.
    """

    token_ids: Tensor
    positions: Tensor
    rows: Taken
    packed: Taken
    predicting: Taken
    targets: Tensor
    counts: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, for `of`."""
        takens = [*self.rows, *self.packed, *self.predicting]
        return [self.token_ids, self.positions, *takens, self.targets, self.counts]

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "BucketedBatch":
        """Return the batch of these tensors."""
        rows, packed, predicting = (Taken(*tensors[start : start + 4]) for start in (2, 6, 10))
        return cls(tensors[0], tensors[1], rows, packed, predicting, tensors[14], tensors[15])


def fill_up(batches: Sequence[Batch], learns: bool) -> BucketedBatch:
    """Pack padded batches and fill them up to the sizes of a bucket.

    Args:
        batches: K of them, each with at least one target that counts; computed together.
        learns: whether gradients are wanted.
    """
    batch = pack(batches)
    numbers, first = batch.attention.numbers, batch.attention.first
    count, predictions, (b, width) = len(first), len(batch.targets), numbers.shape
    n, t = rounded_up(count, POSITIONS), rounded_up(width, PLACES)
    quarter = n // 4
    m = quarter * ceil(predictions / quarter) if predictions <= n else n + b

    def filled(tensor: Tensor, size: int, filler: int = 0) -> Tensor:
        return pad(tensor, (0, size - tensor.shape[-1]), value=filler)

    ended = (numbers == 0) & (torch.arange(width) > 0)
    rows = filled(numbers.masked_fill(ended, -1), t, -1)  # (B, T)
    packed = filled(first // width * t + first % width, n, -1)
    predicting = filled(batch.predicting, m, -1)
    again = b - 1  # how often a position can be laid out again, or have another target
    return BucketedBatch(
        token_ids=filled(batch.token_ids, n),
        positions=filled(batch.positions, n),
        rows=_taken(rows, n, again, learns),
        packed=_taken(packed, b * t, 0, learns),
        predicting=_taken(predicting, n, again, learns),
        targets=filled(batch.targets, m),
        counts=filled(batch.counts.float(), m),
    )


def rounded_up(size: int, step: int) -> int:
    """Return the next multiple of a step; of a larger one for large sizes, to have few of them."""
    step = max(step, 2 ** ((size - 1).bit_length() - 1) // STEPS)
    return step * ceil(size / step)


def _taken(indices: Tensor, count: int, again: int, learns: bool) -> Taken:
    """Invert indices; -1 stands for any row, on which nothing depends.

    Args:
        count: number K of rows to take from.
        again: how often, at most, one of them is taken again.
    """
    usable, indices = indices.clamp(min=0), indices.flatten()
    if not learns:
        return Taken(usable)
    order = indices.argsort(stable=True)[int((indices < 0).sum()) :]
    found = indices[order]
    rank = torch.arange(len(found)) - torch.searchsorted(found, found)
    first = torch.full((count,), len(indices))
    first[found[rank == 0]] = order[rank == 0]
    if not again:
        return Taken(usable, first)
    repeated, later = found[rank == 1], rank > 0
    size = rounded_up(max(1, len(repeated)), SHARED)
    which = torch.full((count,), size)
    which[repeated] = torch.arange(len(repeated))
    more = torch.full((size, again), len(indices))
    more[which[found[later]], rank[later] - 1] = order[later]
    return Taken(usable, first, more, which)


class _Take(torch.autograd.Function):
    """The rows of (K, ...) at indices; the backward pass gathers by the inverse."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *taken: Tensor) -> Tensor:
        ctx.save_for_backward(*taken)
        return x.index_select(0, taken[0].flatten()).unflatten(0, taken[0].shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        taken = Taken(*ctx.saved_tensors)
        grad = _with_zeros(grad.flatten(0, taken.indices.dim() - 1))
        total = grad.index_select(0, taken.first)
        if taken.more.dim() == 2:
            more = grad.index_select(0, taken.more.flatten()).unflatten(0, taken.more.shape).sum(1)
            total = total + _with_zeros(more).index_select(0, taken.which)
        return total, None, None, None, None


def _with_zeros(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_zeros(1, *x.shape[1:])])


def bucketed_losses(model: GPTModel, batch: BucketedBatch) -> Tensor:
    """Return the sum of the cross-entropies of each batch, weighted by its counts.

    Args:
        model: its dropout, if any, must be off.
        batch: on the model's device.

    Returns:
        (K,), as `packed_losses` of the batches that were filled up.
    """

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        together = torch.stack((queries, keys, values), 1)  # (N, 3, H, D/H)
        rows = _Take.apply(together, *batch.rows)  # (B, T, 3, H, D/H)
        context = CausalAttention()(layer, *rows.unbind(2))  # (B, T, H, D/H)
        return _Take.apply(context.flatten(0, 1), *batch.packed)

    states = model.hidden(batch.token_ids, batch.positions, attend)  # (N, D)
    states = _Take.apply(states, *batch.predicting)  # (M, D)
    return weighted_losses(model.out_head, states, batch.targets, batch.counts)

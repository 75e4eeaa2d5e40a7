"""Batches without the positions that padded ones compute needlessly.

The loss of a padded batch (B, T) needs a position only up to the last target that counts in its
row: the rest is padding. And where rows begin with the same tokens, as those of one prompt style
do, they have the same states there, because a position sees none that come after it::

    padded   p p a b . . .        packed   p p a b
             p p a c c . .                       c c
             p p d d d d d                     d d d d d

Everything but attention and the loss treats positions one by one and is given the packed ones.
Attention gets them laid out as rows again. In the loss, a prediction that several rows share counts
as often as there are rows. That is the same sum of the same terms, so loss and gradients are those
of the padded batch up to rounding. Dropout would not be the same: it draws for every position.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from workflow.lib.fast.head import cross_entropies
from workflow.lib.model.device import moved
from workflow.lib.model.gpt import CausalAttention, GPTModel
from workflow.lib.tokens.collate import IGNORE_INDEX

Batch = tuple[Tensor, Tensor]  # inputs and targets (B, T), as `collate` makes them

HEAD_ROWS = 512  # predictions whose logits are in memory at a time when no gradient is wanted


@dataclass(frozen=True)
class PackedAttention:
    """Causal attention within sequences whose N distinct positions are stored once each.

    Args:
        numbers: (B, T), the number of the position at each place of each sequence; 0 after its end.
        first: (N,), where each position first stands among the B * T places.
    """

    numbers: Tensor
    first: Tensor

    def __call__(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows = (self.as_rows(x) for x in (queries, keys, values))  # each (B, T, H, D/H)
        return self.as_packed(CausalAttention()(layer, *rows))  # (N, H, D/H)

    def as_rows(self, packed: Tensor) -> Tensor:
        """Lay out (N, ...) as (B, T, ...)."""
        return packed.index_select(0, self.numbers.flatten()).unflatten(0, self.numbers.shape)

    def as_packed(self, rows: Tensor) -> Tensor:
        """Pack (B, T, ...) to (N, ...)."""
        return rows.flatten(0, 1).index_select(0, self.first)

    def to(self, device: torch.device) -> "PackedAttention":
        """Copy the indices to a device."""
        return PackedAttention(moved(self.numbers, device), moved(self.first, device))


def share_beginnings(tokens: Tensor, lengths: Tensor) -> PackedAttention:
    """Find the distinct positions of sequences: those with different tokens up to them.

    In alphabetical order, what a sequence shares with any before it, it shares with the last one.

    Args:
        tokens: (B, T) token ids.
        lengths: (B,), how many of each row belong to its sequence.
    """
    size = lengths.tolist()
    order = sorted(range(len(tokens)), key=lambda row: tokens[row, : size[row]].tolist())
    inside = torch.arange(tokens.shape[1]) < lengths[order, None]  # (B, T)
    ordered = tokens[order].where(inside, -1)
    new = inside.clone()
    new[1:] &= (ordered[1:] == ordered[:-1]).cumprod(1) == 0
    numbers = torch.zeros_like(tokens)
    numbers[new] = torch.arange(int(new.sum()))
    numbers = numbers.cummax(0).values * inside
    rows = torch.tensor(order).argsort()
    places = torch.arange(tokens.numel()).view_as(tokens)[order]
    return PackedAttention(numbers[rows], places[new])


@dataclass(frozen=True)
class PackedBatch:
    """The N distinct positions of K batches, and the M distinct predictions of their losses.

    Args:
        token_ids: (N,).
        positions: (N,), the position of each in its own sequence.
        attention: which positions see each other.
        predicting: (M,), which of the N positions predicts.
        targets: (M,), what it should predict.
        counts: (K, M), how many targets of each padded batch that prediction stands for.
    """

    token_ids: Tensor
    positions: Tensor
    attention: PackedAttention
    predicting: Tensor
    targets: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> "PackedBatch":
        """Copy the batch to a device; CUDA copies while it still computes the batch before."""
        tensors = {name: x for name, x in vars(self).items() if isinstance(x, Tensor)}
        there = {name: moved(tensor, device) for name, tensor in tensors.items()}
        return PackedBatch(attention=self.attention.to(device), **there)


def pack(batches: Sequence[Batch]) -> PackedBatch:
    """Find the distinct positions and predictions of padded batches.

    Args:
        batches: each with at least one target that counts.
    """
    longest = max(inputs.shape[1] for inputs, _ in batches)
    missing = [longest - inputs.shape[1] for inputs, _ in batches]
    pairs = list(zip(batches, missing, strict=True))
    inputs = torch.cat([pad(x, (0, more)) for (x, _), more in pairs])
    targets = torch.cat([pad(y, (0, more), value=IGNORE_INDEX) for (_, y), more in pairs])
    sizes = torch.tensor([len(inputs) for inputs, _ in batches])
    batch = torch.arange(len(batches)).repeat_interleave(sizes)  # (B,), that each row is of

    counted = targets != IGNORE_INDEX
    lengths = ((torch.arange(longest) + 1) * counted).amax(1)  # (B,), to the last that counts
    needed, places = lengths > 0, int(lengths.max())
    inputs, targets, counted = (x[needed, :places] for x in (inputs, targets, counted))
    lengths, batch = lengths[needed], batch[needed]
    attention = share_beginnings(inputs, lengths)
    tokens = int(targets.max()) + 1
    predictions = attention.numbers[counted] * tokens + targets[counted]  # each as one number
    predictions, which = torch.unique(predictions, return_inverse=True)  # (M,)
    of_batch = batch[:, None].expand_as(targets)[counted]
    counts = torch.zeros(len(batches), len(predictions), dtype=torch.long)
    counts.index_put_((of_batch, which), torch.ones_like(which), accumulate=True)
    return PackedBatch(
        token_ids=inputs.flatten()[attention.first],
        positions=attention.first % places,
        attention=attention,
        predicting=predictions // tokens,
        targets=predictions % tokens,
        counts=counts,
    )


def packed_losses(model: GPTModel, batches: Sequence[Batch]) -> Tensor:
    """Return the sum of the cross-entropies of all targets that count in each batch.

    Args:
        model: its dropout, if any, must be off.
        batches: each with at least one target that counts; computed together.

    Returns:
        (K,) on the model's device; divided by the number of targets, the chapter's losses.
    """
    batch = pack(batches).to(model.tok_emb.weight.device)
    states = model.hidden(batch.token_ids, batch.positions, batch.attention)  # (N, D)
    states = states.index_select(0, batch.predicting)  # (M, D)
    return weighted_losses(model.out_head, states, batch.targets, batch.counts)


def weighted_losses(head: nn.Module, states: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of each batch, weighted by its counts.

    Args:
        head: turns states (M, D) into logits (M, V).
        states: (M, D) of the positions that predict.
        targets: (M,).
        counts: (K, M).

    Returns:
        (K,).
    """
    rows = len(states) if torch.is_grad_enabled() else HEAD_ROWS
    losses = [
        cross_entropies(head, some, wanted)  # with logits (rows, V)
        for some, wanted in zip(states.split(rows), targets.split(rows), strict=True)
    ]
    return (torch.cat(losses) * counts).sum(1)

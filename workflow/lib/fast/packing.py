"""A batch without the positions that a padded one computes needlessly.

The loss of a padded batch (B, T) needs a position only up to the last target that counts in its
row: the rest is padding. And where all rows begin with the same tokens, as those of one prompt
style do, they have the same states there, because a position sees none that come after it::

    padded   p p p a a . .        packed   p p p a a b b b b c
             p p p b b b b                 the common prefix, then the rest of each row
             p p p c . . .

Everything but attention and the loss treats positions one by one and is given the packed ones.
Attention gets them laid out as rows again. In the loss, a prediction that several rows share counts
as often as there are rows. That is the same sum of the same terms, so loss and gradients are those
of the padded batch up to rounding. Dropout would not be the same: it draws for every position.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from workflow.lib.model.gpt import CausalAttention, GPTModel
from workflow.lib.tokens.collate import IGNORE_INDEX


@dataclass(frozen=True)
class PackedAttention:
    """Causal attention within sequences stored one after the other, their common prefix first.

    Args:
        prefix: positions P that all sequences share.
        tails: positions of each of the B sequences after the prefix; with P they add up to N.
    """

    prefix: int
    tails: Sequence[int]

    def __call__(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows = (self.as_rows(x) for x in (queries, keys, values))  # each (B, T, H, D/H)
        return self.as_packed(CausalAttention()(layer, *rows))  # (N, H, D/H)

    def as_rows(self, packed: Tensor) -> Tensor:
        """Lay out (N, ...) as (B, T, ...): the prefix before every tail, zeros after it."""
        shared, *tails = packed.split([self.prefix, *self.tails])
        padding = packed.new_zeros(max(self.tails), *packed.shape[1:])
        parts = [part for tail in tails for part in (shared, tail, padding[len(tail) :])]
        return torch.cat(parts).unflatten(0, (len(tails), -1))

    def as_packed(self, rows: Tensor) -> Tensor:
        """Pack (B, T, ...) to (N, ...): the prefix of the first row, then the tails."""
        longest = max(self.tails)
        sizes = [size for tail in self.tails for size in (self.prefix, tail, longest - tail)]
        parts = rows.flatten(0, 1).split(sizes)
        return torch.cat([parts[0], *parts[1::3]])


@dataclass(frozen=True)
class PackedBatch:
    """The N distinct positions of a batch, and the M distinct predictions its loss is made of.

    Args:
        token_ids: (N,).
        positions: (N,), the position of each in its own sequence.
        attention: which positions see each other.
        predicting: (M,), which of the N positions predicts.
        targets: (M,), what it should predict.
        counts: (M,), how many targets of the padded batch that prediction stands for.
    """

    token_ids: Tensor
    positions: Tensor
    attention: PackedAttention
    predicting: Tensor
    targets: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> "PackedBatch":
        """Copy the batch to a device; CUDA copies while it still computes the batch before."""
        cuda = device.type == "cuda"
        moved = {
            name: (tensor.pin_memory() if cuda else tensor).to(device, non_blocking=cuda)
            for name, tensor in vars(self).items()
            if name != "attention"
        }
        return PackedBatch(attention=self.attention, **moved)


def pack(inputs: Tensor, targets: Tensor) -> PackedBatch:
    """Find the distinct positions and predictions of a padded batch.

    Args:
        inputs, targets: (B, T), as `collate` makes them; at least one target counts.
    """
    counted = targets != IGNORE_INDEX
    places = torch.arange(inputs.shape[1])  # (T,)
    lengths = ((places + 1) * counted).amax(1)  # (B,), up to the last target that counts
    needed = lengths > 0
    inputs, targets, counted, lengths = (x[needed] for x in (inputs, targets, counted, lengths))

    alike = (inputs == inputs[0]).all(0)  # (T,)
    prefix = min(int(alike.cumprod(0).sum()), int(lengths.min()))
    in_tail = (places >= prefix) & (places < lengths[:, None])  # (B, T)
    number = places.repeat(len(inputs), 1)  # (B, T): which packed position stands for each
    number[in_tail] = prefix + torch.arange(int(in_tail.sum()))

    tokens = int(targets.max()) + 1
    pairs = number[counted] * tokens + targets[counted]  # each prediction as one number
    pairs, counts = torch.unique(pairs, return_counts=True)  # (M,)
    return PackedBatch(
        token_ids=torch.cat([inputs[0, :prefix], inputs[in_tail]]),
        positions=torch.cat([places[:prefix], places.expand_as(inputs)[in_tail]]),
        attention=PackedAttention(prefix, (lengths - prefix).tolist()),
        predicting=pairs // tokens,
        targets=pairs % tokens,
        counts=counts,
    )


def packed_loss(model: GPTModel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of all targets that count.

    Args:
        model: its dropout, if any, must be off.
        inputs, targets: (B, T), as `collate` makes them; at least one target counts.

    Returns:
        a scalar on the model's device; divided by the number of targets, the chapter's loss.
    """
    batch = pack(inputs, targets).to(model.tok_emb.weight.device)
    states = model.hidden(batch.token_ids, batch.positions, batch.attention)  # (N, D)
    logits = model.out_head(states[batch.predicting])  # (M, V)
    losses = cross_entropy(logits, batch.targets, reduction="none")  # (M,)
    return (losses * batch.counts).sum()

"""A variant that is not in the pipeline: packing by index tensors, evaluation batches merged.

`workflow/lib/fast/packing.py` copies pieces, one operation for each sequence of a batch, which a
CPU does fast and a GPU launches one by one. Here one gather lays out queries, keys and values as
rows and one takes the context back, whatever the batch. Their backward passes gather too, so that
sums have one order. All sizes can be rounded up, so that few different ones remain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, pad

from workflow.lib.fast.packing import pack
from workflow.lib.model.gpt import CausalAttention, GPTModel
from workflow.lib.parallel.engine import Batch, Engine
from workflow.lib.tokens.collate import IGNORE_INDEX

PARTS = ("token_ids", "positions", "rows", "packed", "from_packed", "from_rows", "predicting",
         "targets", "from_predicting")  # fmt: skip


@dataclass(frozen=True)
class IndexedBatch:
    """The N positions and M predictions of one or several batches, for B rows of T places.

    Args:
        numbers: all index tensors one after the other, so that one copy moves them:
            token_ids (N), positions (N);
            rows (B T), the position at each place, and from_rows (N, B), the places of each;
            packed (N), the place each is taken back from, and from_packed (B T), what goes there;
            predicting (M), targets (M), and from_predicting (N, B), the predictions of each.
            An index one past the last stands for zeros.
        weights: (M,), the share of each prediction in the loss; 0 for those that fill up.
        sizes: N, M, B and T.
    """

    numbers: Tensor
    weights: Tensor
    sizes: tuple[int, int, int, int]

    def parts(self) -> dict[str, Tensor]:
        """Return the index tensors by name, as views."""
        n, m, b, t = self.sizes
        lengths = [n, n, b * t, n, b * t, n * b, m, m, n * b]
        return dict(zip(PARTS, self.numbers.split(lengths), strict=True))

    def to(self, device: torch.device) -> "IndexedBatch":
        """Copy the batch to a device, without waiting."""
        cuda = device.type == "cuda"
        moved = (
            (x.pin_memory() if cuda else x).to(device, non_blocking=cuda)
            for x in (self.numbers, self.weights)
        )
        return IndexedBatch(*moved, self.sizes)


def lay_out(batches: Sequence[Batch], rounded: tuple[int, int] = (1, 1)) -> IndexedBatch:
    """Find the distinct positions and predictions of batches whose mean loss is wanted.

    Args:
        batches: padded, as `collate` makes them.
        rounded: what N and T are made multiples of.
    """
    longest = max(inputs.shape[1] for inputs, _ in batches)
    inputs = torch.cat([pad(x, (0, longest - x.shape[1])) for x, _ in batches])
    targets = torch.cat([pad(y, (0, longest - y.shape[1]), value=IGNORE_INDEX) for _, y in batches])
    shares = [1 / (len(batches) * int((y != IGNORE_INDEX).sum())) for _, y in batches]
    share = torch.tensor(shares).repeat_interleave(torch.tensor([len(y) for _, y in batches]))
    needed = (targets != IGNORE_INDEX).any(1)
    inputs, targets, share = inputs[needed], targets[needed], share[needed]
    batch = pack(inputs, targets)
    prefix, tails = batch.attention.prefix, torch.tensor(batch.attention.tails)
    count, b = len(batch.token_ids), len(inputs)
    n = rounded[0] * ceil(count / rounded[0])
    t = rounded[1] * ceil((prefix + int(tails.max())) / rounded[1])
    m = len(batch.targets) if rounded == (1, 1) else n + b

    places = torch.arange(t)
    rows = (prefix + tails.cumsum(0) - tails)[:, None] + places - prefix
    rows = torch.where(places < prefix, places, rows)
    rows[places >= prefix + tails[:, None]] = n  # (B, T)
    place = torch.arange(b * t).view(b, t)
    own = (rows < n) & ((places >= prefix) | (torch.arange(b) == 0)[:, None])
    packed = torch.full((n,), b * t)
    packed[rows[own]] = place[own]
    from_packed = torch.full((b * t,), n)
    from_packed[place[own]] = rows[own]
    from_rows = torch.full((n, b), b * t)
    from_rows[:, 0] = packed
    from_rows[:prefix] = place[:, :prefix].T

    counted = targets != IGNORE_INDEX
    tokens = int(targets.max()) + 1
    width = min(t, targets.shape[1])
    numbers = rows[:, :width][counted[:, :width]]
    pairs, inverse = torch.unique(numbers * tokens + targets[counted], return_inverse=True)
    weights = torch.zeros(m, dtype=torch.float64)
    weights.index_add_(0, inverse, share.double()[:, None].expand_as(targets)[counted])
    predicting = pairs // tokens  # in order
    rank = torch.arange(len(pairs)) - torch.searchsorted(predicting, predicting)
    from_predicting = torch.full((n, b), m)
    from_predicting[predicting, rank] = torch.arange(len(pairs))
    parts = [
        pad(batch.token_ids, (0, n - count)), pad(batch.positions, (0, n - count)), rows, packed,
        from_packed, from_rows, pad(predicting, (0, m - len(pairs))),
        pad(pairs % tokens, (0, m - len(pairs))), from_predicting,
    ]  # fmt: skip
    return IndexedBatch(torch.cat([x.flatten() for x in parts]), weights.float(), (n, m, b, t))


class Gather(torch.autograd.Function):
    """The rows of (K, ...) at indices (J,), zeros at index K; backward gathers by (K, R)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, indices: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return _with_zeros(x)[indices]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        [back] = ctx.saved_tensors
        taken = _with_zeros(grad)[back.flatten()].unflatten(0, back.shape)
        return (taken[:, 0] if back.shape[1] == 1 else taken.sum(1)), None, None


def _with_zeros(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_zeros(1, *x.shape[1:])])


def indexed_loss(model: GPTModel, batch: IndexedBatch) -> Tensor:
    """Return the mean loss of the batches that were laid out."""
    n, _, b, t = batch.sizes
    of = batch.parts()
    from_rows, from_predicting = of["from_rows"].view(n, b), of["from_predicting"].view(n, b)

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        together = torch.stack((queries, keys, values), 1)  # (N, 3, H, D/H)
        rows = Gather.apply(together, of["rows"], from_rows).unflatten(0, (b, t))
        context = CausalAttention()(layer, *rows.unbind(2))  # (B, T, H, D/H)
        return Gather.apply(context.flatten(0, 1), of["packed"], of["from_packed"][:, None])

    states = model.hidden(of["token_ids"], of["positions"], attend)
    logits = model.out_head(Gather.apply(states, of["predicting"], from_predicting))
    return (cross_entropy(logits, of["targets"], reduction="none") * batch.weights).sum()


class IndexedEngine(Engine):
    """The pipeline's engine with these batches; its losses are one mean of all batches."""

    rounded, rounded_evaluation = (1, 1), (1, 1)

    def backward(self, inputs: Tensor, targets: Tensor) -> None:
        """Add the gradients of a batch's loss to those of the weights."""
        self.model.train()
        self.compute(lay_out([(inputs, targets)], self.rounded), True)

    def losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the mean loss of the batches, as a list of one."""
        self.model.eval()
        return [self.compute(lay_out([*batches], self.rounded_evaluation), False).item()]

    def compute(self, batch: IndexedBatch, learns: bool) -> Tensor:
        """Return the loss of a batch, and compute its gradients if it learns."""
        device = self.model.tok_emb.weight.device
        return self.loss_of(batch.to(device), learns)

    def loss_of(self, batch: IndexedBatch, learns: bool) -> Tensor:
        """Do the same for a batch on the device."""
        device = batch.weights.device
        autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False
        )
        with torch.set_grad_enabled(learns), autocast:
            loss = indexed_loss(self.model, batch)
        if learns:
            loss.backward()
        return loss.detach()

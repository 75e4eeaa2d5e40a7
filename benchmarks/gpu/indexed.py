"""A variant that is not in the pipeline: fewer and fixed operations for a packed batch.

One gather lays out queries, keys and values as rows together. The backward passes of gathers gather
too, so that sums have one order, where `workflow/lib/fast/packing.py` scatters. One copy moves a
batch to the device. All sizes can be rounded up, so that few different ones remain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from workflow.lib.fast.head import cross_entropies
from workflow.lib.fast.packing import Batch, pack
from workflow.lib.model.gpt import CausalAttention, GPTModel
from workflow.lib.parallel.engine import Engine

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
        weights: (K, M), the share of each prediction in the loss of each batch; 0 for those that
            fill up.
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
    """Find the distinct positions and predictions of batches.

    Args:
        batches: padded, as `collate` makes them.
        rounded: what N and T are made multiples of.
    """
    batch = pack(batches)
    numbers, first = batch.attention.numbers, batch.attention.first
    count, (b, width) = len(first), numbers.shape
    n = rounded[0] * ceil(count / rounded[0])
    t = rounded[1] * ceil(width / rounded[1])
    m = len(batch.targets) if rounded == (1, 1) else n + b

    inside = (numbers > 0) | (torch.arange(width) == 0)
    rows = pad(numbers.where(inside, n), (0, t - width), value=n).flatten()  # (B T)
    packed = pad(first // width * t + first % width, (0, n - count), value=b * t)
    from_packed = torch.full((b * t + 1,), n)
    from_packed[packed[:count]] = torch.arange(count)
    weights = batch.counts / batch.counts.sum(1, keepdim=True)
    parts = [
        pad(batch.token_ids, (0, n - count)), pad(batch.positions, (0, n - count)), rows, packed,
        from_packed[:-1], _places(rows, n, b), pad(batch.predicting, (0, m - len(batch.targets))),
        pad(batch.targets, (0, m - len(batch.targets))),
        _places(batch.predicting, n, b, filler=m),
    ]  # fmt: skip
    numbers = torch.cat([x.flatten() for x in parts])
    return IndexedBatch(numbers, pad(weights, (0, m - weights.shape[1])), (n, m, b, t))


def _places(numbers: Tensor, count: int, most: int, filler: int | None = None) -> Tensor:
    """Return where each number below count stands, (count, most); filled up by one past the end."""
    places = torch.full((count, most), len(numbers) if filler is None else filler)
    order = numbers.argsort(stable=True)
    found = numbers[order]
    rank = torch.arange(len(found)) - torch.searchsorted(found, found)
    real = found < count
    places[found[real], rank[real]] = order[real]
    return places


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
    """Return the loss of each batch that was laid out, (K,)."""
    n, _, b, t = batch.sizes
    of = batch.parts()
    from_rows, from_predicting = of["from_rows"].view(n, b), of["from_predicting"].view(n, b)

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        together = torch.stack((queries, keys, values), 1)  # (N, 3, H, D/H)
        rows = Gather.apply(together, of["rows"], from_rows).unflatten(0, (b, t))
        context = CausalAttention()(layer, *rows.unbind(2))  # (B, T, H, D/H)
        return Gather.apply(context.flatten(0, 1), of["packed"], of["from_packed"][:, None])

    states = model.hidden(of["token_ids"], of["positions"], attend)
    predicting = Gather.apply(states, of["predicting"], from_predicting)
    return (cross_entropies(model.out_head, predicting, of["targets"]) * batch.weights).sum(1)


class IndexedEngine(Engine):
    """The pipeline's engine with these batches."""

    rounded, rounded_evaluation = (1, 1), (1, 1)

    def backward(self, inputs: Tensor, targets: Tensor) -> None:
        """Add the gradients of a batch's loss to those of the weights."""
        self.model.train()
        self.compute(lay_out([(inputs, targets)], self.rounded), True)

    def losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the loss of each batch, computed together."""
        self.model.eval()
        return self.compute(lay_out([*batches], self.rounded_evaluation), False).tolist()

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
            loss.sum().backward()
        return loss.detach()

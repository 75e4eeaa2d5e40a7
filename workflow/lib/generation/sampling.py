"""The next token from logits (chapter 5): the likeliest, or sampled."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from workflow.lib.settings.recipe import Generation


class Sampler:
    """Chooses tokens as `generation` says, and remembers the entries with nearly equal logits.

    Without a temperature the choice is greedy. Two logits that differ by no more than rounding may
    change places on another machine or in another batch. With a temperature, every entry draws from
    its own generator, one number a token, so that its response does not depend on which others are
    computed with it.

    Args:
        settings: temperature, top_k and seed.

    Attributes:
        ties: numbers of the entries whose best two logits were once equal up to rounding.
    """

    def __init__(self, settings: Generation) -> None:
        self.settings = settings
        self.ties: set[int] = set()
        self.generators: dict[int, torch.Generator] = {}

    def __call__(self, logits: Tensor, numbers: Sequence[int]) -> list[int]:
        """Return the next token of each entry.

        Args:
            logits: (B, V).
            numbers: of the B entries.
        """
        if self.settings.temperature:
            return self._draw(logits, numbers)
        return self._best(logits, numbers)

    def _best(self, logits: Tensor, numbers: Sequence[int]) -> list[int]:
        best, second = logits.topk(2).values.T
        rounding = 100 * torch.finfo(logits.dtype).eps * best.abs().clamp(min=1)
        close = best - second <= rounding
        tokens, ties = torch.stack((logits.argmax(-1), close)).tolist()  # waits for a GPU once
        self.ties.update(number for number, tie in zip(numbers, ties, strict=True) if tie)
        return tokens

    def _draw(self, logits: Tensor, numbers: Sequence[int]) -> list[int]:
        scaled = logits.cpu().double() / self.settings.temperature
        if self.settings.top_k is not None:
            likeliest = scaled.topk(min(self.settings.top_k, scaled.shape[1]))
            scaled = torch.full_like(scaled, -torch.inf).scatter_(1, *likeliest[::-1])
        sums = scaled.softmax(-1).cumsum(-1)  # (B, V), the cumulative distribution
        drawn = torch.stack([self._next(number) for number in numbers])  # (B,) in [0, 1)
        return torch.searchsorted(sums, drawn[:, None] * sums[:, -1:], right=True)[:, 0].tolist()

    def _next(self, number: int) -> Tensor:
        """Return the next random number of an entry."""
        if number not in self.generators:
            digest = hashlib.sha256(f"{self.settings.seed} {number}".encode()).digest()
            seed = int.from_bytes(digest[:8]) // 2  # seeds below 2 ** 63
            self.generators[number] = torch.Generator().manual_seed(seed)
        return torch.rand((), generator=self.generators[number], dtype=torch.float64)

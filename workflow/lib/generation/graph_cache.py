"""A key-value cache on a GPU, which appends tokens by CUDA graphs."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor

from workflow.lib.fast.cuda_graphs import Graphs
from workflow.lib.generation.kv_cache import KeyValueCache
from workflow.lib.model.gpt import GPTModel

PLACES = 128  # the step between the numbers of places that are computed
FEWEST_ROWS = 8  # rows below which fewer are not faster


class GraphCache(KeyValueCache):
    """A key-value cache with a CUDA graph for each of a few sizes; the rest is filled up.

    Rows are halved when half of them have become free, and places added as texts grow.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.graphs = Graphs(self.keys.device)

    def extend(self, model: GPTModel, tokens: Sequence[int]) -> Tensor:
        """Append one token to each row in use.

        Returns:
            (len(tokens), D) their states, which the next call may overwrite.
        """
        rows = self.rows
        while rows > (fewer := ceil(rows / 2)) >= max(len(self), FEWEST_ROWS):
            rows = fewer
        capacity = self.keys.shape[3]
        seen = min(capacity, PLACES * ceil((max(self.lengths) + 1) / PLACES))
        self._clear(seen)
        new = torch.zeros(2, rows, dtype=torch.int64)
        new[:, : len(self)] = torch.tensor([tokens, self.lengths])
        append = partial(self._append, model, seen)
        states = self.graphs.or_without(lambda: self.graphs(seen, append, new))
        self.lengths = [length + 1 for length in self.lengths]
        return states[: len(self)]

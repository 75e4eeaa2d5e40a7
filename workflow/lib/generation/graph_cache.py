"""A key-value cache on a GPU, which appends tokens by CUDA graphs."""

from functools import partial
from math import ceil
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from workflow.lib.fast.buckets import rounded_up
from workflow.lib.fast.cuda_graphs import Graphs
from workflow.lib.generation.kv_cache import KeyValueCache
from workflow.lib.model.gpt import GPTModel

PLACES = 128  # the least step between the numbers of places that are computed
FEWEST_ROWS = 8  # rows below which fewer are not faster


class GraphCache(KeyValueCache):
    """A key-value cache with a CUDA graph for each of a few sizes; the rest is filled up.

    Rows are halved when half of them have become free, and places added as texts grow.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.graphs = Graphs(self.keys.device)

    def _extend(self, model: GPTModel, seen: int, new: Tensor) -> Tensor:
        """Do as `_append` for all rows in use; the next call may overwrite the states."""
        rows = self.rows
        while rows > (fewer := ceil(rows / 2)) >= max(len(self), FEWEST_ROWS):
            rows = fewer
        capacity = self.keys.shape[3]
        seen = min(capacity, rounded_up(seen, PLACES))
        self._clear(seen)
        append = partial(self._append, model, seen)
        filled = pad(new, (0, rows - len(self)))
        return self.graphs.or_without(lambda: self.graphs(seen, append, filled))[: len(self)]

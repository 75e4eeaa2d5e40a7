"""Variants that are not in the pipeline: CUDA graphs of training steps, and of decoding.

A step of GPT-2 medium is thousands of small kernels, so a GPU may wait for their launches. A graph
launches them all at once, but for tensors of fixed sizes at fixed places. Without CUDA the same
functions are called one by one.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.gpu.indexed import IndexedBatch, IndexedEngine
from workflow.lib.generation.kv_cache import KeyValueCache, mask_unseen
from workflow.lib.model.gpt import GPTModel

WARM_UP = 2  # calls before a capture: libraries allocate what they keep


class GraphEngine(IndexedEngine):
    """Forward and backward passes as one CUDA graph for each size of batch.

    All graphs add to the same gradients and compute in the same memory, so that a further size
    takes no more of it.
    """

    rounded, rounded_evaluation = (128, 32), (512, 32)

    def compute(self, batch: IndexedBatch, learns: bool) -> Tensor:
        """Replay the graph for a batch of this size, captured when it is first met."""
        device = self.model.tok_emb.weight.device
        if device.type != "cuda":
            return super().compute(batch, learns)
        if (key := (learns, batch.sizes, len(batch.weights))) not in self.graphs:
            self.graphs[key] = self._capture(batch.to(device), learns)
        graph, static, loss = self.graphs[key]
        static.numbers.copy_(batch.numbers.pin_memory(), non_blocking=True)
        static.weights.copy_(batch.weights.pin_memory(), non_blocking=True)
        graph.replay()
        if learns:
            self._set_gradients()
        return loss

    @cached_property
    def graphs(self) -> dict[tuple, tuple[torch.cuda.CUDAGraph, IndexedBatch, Tensor]]:
        """The graph of each size, with the tensors of its batch and of its loss."""
        return {}

    @cached_property
    def pool(self) -> tuple[int, int]:
        """The memory that all graphs compute in."""
        return torch.cuda.graph_pool_handle()

    @cached_property
    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """The weights that learn, each with the gradient to which all graphs add."""
        learning = [weight for weight in self.model.parameters() if weight.requires_grad]
        return [(weight, torch.zeros_like(weight)) for weight in learning]

    def _capture(
        self, static: IndexedBatch, learns: bool
    ) -> tuple[torch.cuda.CUDAGraph, IndexedBatch, Tensor]:
        graph, loss = capture(lambda: self._afresh(static, learns), self.pool)
        return graph, static, loss

    def _afresh(self, static: IndexedBatch, learns: bool) -> Tensor:
        if learns:
            self._set_gradients()
            torch._foreach_zero_([gradient for _, gradient in self.gradients])
        return self.loss_of(static, learns)

    def _set_gradients(self) -> None:
        for weight, gradient in self.gradients:
            weight.grad = gradient


def capture(
    action: Callable[[], Tensor], pool: tuple[int, int] | None = None
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Capture an action, after calling it to warm up; return the graph and its result's tensor.

    Args:
        pool: of memory that it shares with other graphs, none of which runs at the same time.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            action()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        result = action()
    return graph, result


@torch.no_grad()
def decode_static(
    model: GPTModel, prompts: Sequence[Sequence[int]], limits: Sequence[int]
) -> list[list[int]]:
    """Continue all prompts greedily, each by its number of tokens, with a cache of fixed size.

    Tokens are chosen on the device, and no step waits for the host. A row goes on after its limit
    until the longest is done.
    """
    model.eval()
    weight, most = model.tok_emb.weight, max(limits)
    capacity = max(map(len, prompts)) + most
    assert capacity <= model.config.context_length
    cache = KeyValueCache(model.config, len(prompts), capacity, weight)
    cache.keys.zero_()
    cache.values.zero_()
    cache.cleared = capacity
    device, rows = weight.device, torch.arange(len(prompts), device=weight.device)
    tokens = model.out_head(cache.add(model, prompts)).argmax(-1)  # (B,)
    lengths = torch.tensor(cache.lengths, device=device)
    history = torch.zeros(len(prompts), most, dtype=torch.int64, device=device)
    history[:, 0] = tokens
    place = torch.ones(1, dtype=torch.int64, device=device)

    def step() -> Tensor:
        mask = mask_unseen(lengths, capacity, cache.keys)

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            cache.keys[layer][rows, :, lengths] = keys[:, 0]
            cache.values[layer][rows, :, lengths] = values[:, 0]
            context = scaled_dot_product_attention(
                queries.transpose(1, 2), cache.keys[layer], cache.values[layer], attn_mask=mask
            )
            return context.transpose(1, 2)

        states = model.hidden(tokens[:, None], lengths[:, None], attend)
        tokens.copy_(model.out_head(states[:, 0]).argmax(-1))
        history.index_copy_(1, place, tokens[:, None])
        lengths.add_(1).clamp_(max=capacity - 1)
        place.add_(1).clamp_(max=most - 1)
        return tokens

    repeat: Callable[[], object] = step
    if device.type == "cuda" and most > 1:
        kept = [x.clone() for x in (tokens, lengths, history, place)]
        graph, _ = capture(step)
        for x, before in zip((tokens, lengths, history, place), kept, strict=True):
            x.copy_(before)  # warming up has moved them; the cache is written again
        repeat = graph.replay
    for _ in range(most - 1):
        repeat()
    found = history.tolist()
    return [tokens[:limit] for tokens, limit in zip(found, limits, strict=True)]

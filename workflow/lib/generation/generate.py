"""Responses of a model (listing 7.9), several at a time and with a key-value cache.

The tokens are those of the chapter's loop: the next one is chosen by the logits of one position,
which depend neither on how they were computed nor on what else is in the batch.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from workflow.lib.generation.graph_cache import GraphCache
from workflow.lib.generation.kv_cache import KeyValueCache, bytes_per_position
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.shape import CACHE_BYTES, PROMPT_TOKENS
from workflow.lib.settings.recipe import Generation

# Next tokens from logits (B, V), for the prompts with these B numbers.
Sample = Callable[[Tensor, Sequence[int]], list[int]]


@torch.no_grad()  # FSDP's weights do not support inference_mode
def generate(
    model: GPTModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end_of_text: int,
    sample: Sample | None = None,
    graphs: bool = False,
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt until end-of-text.

    Prompts wait, shortest first, for a free row of the cache. A text that is finished leaves its
    row at once; one that outgrows the model's context is continued without the cache.

    Args:
        model: on the device to compute on.
        prompts: token ids.
        max_new_tokens: most tokens to add to each.
        end_of_text: the token that ends a response; not part of what is returned.
        sample: chooses the next token of each text; greedy if not given.
        graphs: append tokens by CUDA graphs; for whole weights on a GPU.

    Yields:
        number of a prompt and its new tokens, each as soon as it is finished.
    """
    sample = sample or Sampler(Generation())
    was_training = model.training
    model.eval()
    context = model.config.context_length
    texts = [list(prompt) for prompt in prompts]
    by_length = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    waiting = deque(number for number in by_length if len(texts[number]) <= context)
    outgrown = [number for number in by_length if len(texts[number]) > context]

    lengths = [len(texts[number]) for number in waiting]
    cache = _make_cache(model, lengths, max_new_tokens, GraphCache if graphs else KeyValueCache)
    numbers: list[int] = []  # of the text in each used row of the cache
    states = model.tok_emb.weight.new_empty(0, model.config.emb_dim)  # of their last tokens
    while waiting or numbers:
        free = cache.rows - len(numbers)
        if waiting and free >= min(len(waiting), max(1, cache.rows // 4)):
            new = _next_group(waiting, texts, free)
            states = torch.cat([states, cache.add(model, [texts[number] for number in new])])
            numbers += new
        chosen = sample(model.out_head(states), numbers)
        for row in reversed(range(len(numbers))):
            number = numbers[row]
            text, length = texts[number], len(prompts[number])
            if chosen[row] != end_of_text:
                text.append(chosen[row])
            finished = chosen[row] == end_of_text or len(text) - length == max_new_tokens
            if finished:
                yield number, text[length:]
            elif len(text) > context:
                outgrown.append(number)
            else:
                continue
            cache.remove(row)  # the last row takes its place
            numbers[row] = numbers[-1]
            numbers.pop()
        states = states[:0]
        if numbers:
            states = cache.extend(model, [texts[number][-1] for number in numbers])
    for number in sorted(outgrown):
        left = max_new_tokens - (len(texts[number]) - len(prompts[number]))
        _slide(model, texts[number], left, end_of_text, sample, number)
        yield number, texts[number][len(prompts[number]) :]
    model.train(was_training)


def _make_cache(
    model: GPTModel, lengths: Sequence[int], max_new_tokens: int, kind: type[KeyValueCache]
) -> KeyValueCache:
    """Make a cache for the longest response to the longest prompt, in as many rows as fit."""
    weight = model.tok_emb.weight
    capacity = min(model.config.context_length, max(lengths, default=0) + max_new_tokens)
    memory = CACHE_BYTES
    if weight.device.type == "cuda":
        memory = torch.cuda.mem_get_info(weight.device)[0] // 2
    rows = memory // (capacity * bytes_per_position(model))
    return kind(model.config, max(1, min(rows, len(lengths))), capacity, weight)


def _next_group(waiting: deque[int], texts: Sequence[Sequence[int]], free: int) -> list[int]:
    """Take the next texts from those waiting: at least one, with at most PROMPT_TOKENS in all."""
    group = [waiting.popleft()]
    tokens = len(texts[group[0]])
    while waiting and len(group) < free:
        tokens += len(texts[waiting[0]])
        if tokens > PROMPT_TOKENS:
            break
        group.append(waiting.popleft())
    return group


def _slide(
    model: GPTModel, text: list[int], left: int, end_of_text: int, sample: Sample, number: int
) -> None:
    """Continue a text that outgrew the context with the chapter's own loop: a sliding window.

    Every position moves with each token then, so that nothing can be cached.

    Args:
        text: token ids; new ones are added.
        left: most tokens to add.
        number: of the text.
    """
    device = model.tok_emb.weight.device
    for _ in range(left):
        window = torch.tensor([text[-model.config.context_length :]], device=device)
        [token] = sample(model.out_head(model.hidden(window)[:, -1]), [number])
        if token == end_of_text:
            return
        text.append(token)

"""Greedy responses with a key-value cache (listing 7.9).

The chapter feeds the whole text through the model again for every token. Keys and values of earlier
positions never change, so they are kept, and several prompts advance together. The tokens are the
same: greedy decoding looks at one position's logits, which do not depend on how they were computed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import tiktoken
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from workflow.lib.data import read_entries
from workflow.lib.files import write_json
from workflow.lib.model import CausalAttention, GPTConfig, GPTModel
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import log, progress
from workflow.lib.settings import Generation

CACHE_BYTES = 2**30  # how much memory the keys and values of one batch may take


def write_responses(
    model: GPTModel,
    entries: Path,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    settings: Generation,
    output: Path,
) -> None:
    """Answer every entry and store the entries with "model_response" added (listing 7.9).

    Args:
        model: on the device to compute on.
        entries: JSON list of test entries.
        output: JSON file to write, in the order of the entries.
    """
    loaded = read_entries(entries)
    prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in loaded]
    answers: dict[int, str] = {}
    finished = generate(model, prompts, settings.max_new_tokens, tokenizer.eot_token)
    for number, tokens in progress(finished, "responses", total=len(prompts)):
        answers[number] = style.answer(tokenizer.decode(tokens))
    write_json(output, [{**entry, "model_response": answers[n]} for n, entry in enumerate(loaded)])
    log.info("%s: %d responses", output, len(loaded))


@torch.inference_mode()
def generate(
    model: GPTModel, prompts: Sequence[Sequence[int]], max_new_tokens: int, end_of_text: int
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt greedily until end-of-text.

    Args:
        model: on the device to compute on.
        prompts: token ids.
        max_new_tokens: most tokens to add to each.
        end_of_text: the token that ends a response; not part of what is returned.

    Yields:
        number of a prompt and its new tokens, each as soon as it is finished.
    """
    was_training = model.training
    model.eval()
    context = model.config.context_length
    fitting = [n for n, p in enumerate(prompts) if len(p) + max_new_tokens <= context]
    fitting.sort(key=lambda number: len(prompts[number]))
    longest = max((len(prompts[number]) for number in fitting), default=0) + max_new_tokens
    batch = max(1, CACHE_BYTES // (longest * _cache_bytes_a_position(model)))
    for start in range(0, len(fitting), batch):
        numbers = fitting[start : start + batch]
        for row, tokens in _decode_batch(
            model, [prompts[n] for n in numbers], max_new_tokens, end_of_text
        ):
            yield numbers[row], tokens
    for number in sorted(set(range(len(prompts))) - set(fitting)):
        yield number, _decode_sliding(model, prompts[number], max_new_tokens, end_of_text)
    model.train(was_training)


class KeyValueCache:
    """Keys and values of every layer, and the attention of new positions to them.

    Rows have lengths of their own. What a row holds behind its length is never seen::

        row 0   k k k k k k . .     length 6
        row 1   k k k . . . . .     length 3

    Args:
        config: shape of the model.
        rows: sequences B.
        capacity: positions S each of them has room for.
        like: a tensor of the wanted type and device.
    """

    def __init__(self, config: GPTConfig, rows: int, capacity: int, like: Tensor) -> None:
        size = (config.n_layers, rows, capacity, config.n_heads, config.emb_dim // config.n_heads)
        self.keys = like.new_zeros(size)  # (L, B, S, H, D/H)
        self.values = like.new_zeros(size)  # zeros: an unseen NaN would spoil even a weight of 0
        self.lengths = torch.zeros(rows, dtype=torch.long, device=like.device)
        self.seen = 0  # the longest of lengths, kept here so that no step waits for a device

    def store_prompts(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend for whole prompts, padded on the right, which causality keeps out of sight."""
        length = keys.shape[1]
        self.keys[layer, :, :length] = keys
        self.values[layer, :, :length] = values
        return CausalAttention()(layer, queries, keys, values)

    def extend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend for one new position a row, (B, 1, H, D/H), after putting it behind the others."""
        rows = torch.arange(len(self.lengths), device=keys.device)
        self.keys[layer, rows, self.lengths] = keys[:, 0]
        self.values[layer, rows, self.lengths] = values[:, 0]
        slots = torch.arange(self.seen + 1, device=keys.device)
        visible = slots <= self.lengths[:, None]  # (B, S)
        context = scaled_dot_product_attention(
            queries.transpose(1, 2),  # (B, H, 1, D/H)
            self.keys[layer, :, : self.seen + 1].transpose(1, 2),  # (B, H, S, D/H)
            self.values[layer, :, : self.seen + 1].transpose(1, 2),
            attn_mask=visible[:, None, None, :],
        )
        return context.transpose(1, 2)

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.lengths = self.lengths[rows]


def _decode_batch(
    model: GPTModel, prompts: Sequence[Sequence[int]], max_new_tokens: int, end_of_text: int
) -> Iterator[tuple[int, list[int]]]:
    """Continue prompts together; a finished row is yielded and leaves the batch."""
    device = model.tok_emb.weight.device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    padded = torch.full((len(prompts), int(lengths.max())), end_of_text)
    for row, prompt in zip(padded, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    cache = KeyValueCache(
        model.config, len(prompts), padded.shape[1] + max_new_tokens, model.tok_emb.weight
    )
    states = model.hidden(padded.to(device), attend=cache.store_prompts)  # (B, T, D)
    states = states[torch.arange(len(prompts), device=device), lengths - 1]  # (B, D)
    cache.lengths, cache.seen = lengths, padded.shape[1]
    numbers = list(range(len(prompts)))
    written: dict[int, list[int]] = {number: [] for number in numbers}
    for step in range(max_new_tokens):
        chosen = model.out_head(states).argmax(-1)  # (B,)
        tokens = chosen.tolist()
        alive = []
        for row, (number, token) in enumerate(zip(numbers, tokens, strict=True)):
            if token != end_of_text:
                written[number].append(token)
            if token == end_of_text or step + 1 == max_new_tokens:
                yield number, written[number]
            else:
                alive.append(row)
        if not alive:
            return
        if len(alive) < len(numbers):
            rows = torch.tensor(alive, device=device)
            cache.keep(rows)
            chosen = chosen[rows]
            numbers = [numbers[row] for row in alive]
        positions = cache.lengths[:, None]  # (B, 1)
        states = model.hidden(chosen[:, None], positions, cache.extend)[:, 0]
        cache.lengths = cache.lengths + 1
        cache.seen += 1


def _decode_sliding(
    model: GPTModel, prompt: Sequence[int], max_new_tokens: int, end_of_text: int
) -> list[int]:
    """The chapter's own loop, for a text that outgrows the context: its window slides.

    Every position moves with each token then, so there is nothing to keep.
    """
    device = model.tok_emb.weight.device
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        window = torch.tensor([tokens[-model.config.context_length :]], device=device)
        token = int(model.out_head(model.hidden(window)[:, -1]).argmax(-1))
        if token == end_of_text:
            break
        tokens.append(token)
    return tokens[len(prompt) :]


def _cache_bytes_a_position(model: GPTModel) -> int:
    """Keys and values of one token in all layers."""
    return 2 * model.config.n_layers * model.config.emb_dim * model.tok_emb.weight.element_size()

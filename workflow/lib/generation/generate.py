"""Responses of a model (listing 7.9), several at a time and with a key-value cache.

The tokens are those of the chapter's loop: a choice looks at the logits of one position, which
depend neither on how they were computed nor on what else is in the batch.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tiktoken
import torch
from torch import Tensor

from workflow.lib.data.entries import read_entries
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.generation.kv_cache import KeyValueCache, bytes_a_position
from workflow.lib.generation.sampling import Choice
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.shape import CACHE_BYTES, PROMPT_TOKENS
from workflow.lib.model.weights import load_trained_model
from workflow.lib.parallel.engine import ALONE, Team
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log, progress
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer

Choose = Callable[[Tensor, Sequence[int]], list[int]]  # tokens from logits (B, V), for B numbers


def generate_job(team: Team, device: torch.device, job: dict[str, Any]) -> None:
    """`write_responses` as rule `generate` describes it: paths as text, settings as dicts."""
    model = load_trained_model(Path(job["model"]), Path(job["training"]))
    speed_up(model, device)
    write_responses(
        model.to(device),
        Path(job["entries"]),
        load_tokenizer(Path(job["tokenizer"])),
        PromptStyle(**job["style"]),
        Generation(**job["generation"]),
        Path(job["output"]),
        team,
    )


def write_responses(
    model: GPTModel,
    entries: Path,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    settings: Generation,
    output: Path,
    team: Team = ALONE,
) -> None:
    """Answer every entry and store the entries with "model_response" added (listing 7.9).

    Args:
        model: on the device to compute on.
        entries: JSON list of test entries.
        output: JSON file to write, in the order of the entries.
        team: the processes that share the entries, each of which calls this; the first writes.
    """
    loaded = read_entries(entries)
    prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in loaded]
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    mine = team.deal(by_length)  # long and short ones for everybody
    choice = Choice(settings)

    def choose(logits: Tensor, rows: Sequence[int]) -> list[int]:
        team.beat()
        return choice(logits, [mine[row] for row in rows])

    finished = generate(
        model, [prompts[n] for n in mine], settings.max_new_tokens, tokenizer.eot_token, choose
    )
    own: dict[int, str] = {}
    for row, tokens in progress(finished, "responses", total=len(mine)):
        own[mine[row]] = style.answer(tokenizer.decode(tokens))
    shares = team.collected((own, choice.ties))
    if not team.leads:
        return
    answers = {number: text for share, _ in shares for number, text in share.items()}
    ties = sorted(number for _, tied in shares for number in tied)
    write_json(output, [{**entry, "model_response": answers[n]} for n, entry in enumerate(loaded)])
    log.info("%s: %d responses", output, len(loaded))
    if ties:
        log.info(
            "%d of them had to choose between tokens that are equal up to rounding, and may go on "
            "differently on another machine: %s",
            len(ties),
            ", ".join(map(str, ties)),
        )


@torch.no_grad()  # inference_mode would forbid weights that are spread over processes
def generate(
    model: GPTModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end_of_text: int,
    choose: Choose | None = None,
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt until end-of-text.

    Prompts wait, shortest first, for a free row of the cache. A text that is finished leaves its
    row at once; one that outgrows the model's context goes on in the chapter's own way.

    Args:
        model: on the device to compute on.
        prompts: token ids.
        max_new_tokens: most tokens to add to each.
        end_of_text: the token that ends a response; not part of what is returned.
        choose: the next token of each text, greedy if not given.

    Yields:
        number of a prompt and its new tokens, each as soon as it is finished.
    """
    choose = choose or Choice(Generation())
    was_training = model.training
    model.eval()
    context = model.config.context_length
    texts = [list(prompt) for prompt in prompts]
    by_length = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    waiting = deque(number for number in by_length if len(texts[number]) <= context)
    outgrown = [number for number in by_length if len(texts[number]) > context]

    cache = _make_cache(model, [len(texts[number]) for number in waiting], max_new_tokens)
    numbers: list[int] = []  # of the text in each row of the cache that is in use
    states = model.tok_emb.weight.new_empty(0, model.config.emb_dim)  # of their last tokens
    while waiting or numbers:
        free = cache.rows - len(numbers)
        if waiting and free >= min(len(waiting), max(1, cache.rows // 4)):
            new = _next_group(waiting, texts, free)
            states = torch.cat([states, cache.add(model, [texts[number] for number in new])])
            numbers += new
        chosen = choose(model.out_head(states), numbers)
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
        _slide(model, texts[number], left, end_of_text, choose, number)
        yield number, texts[number][len(prompts[number]) :]
    model.train(was_training)


def _make_cache(model: GPTModel, lengths: Sequence[int], max_new_tokens: int) -> KeyValueCache:
    """Room for the longest response to the longest prompt, in as many rows as memory allows."""
    weight = model.tok_emb.weight
    capacity = min(model.config.context_length, max(lengths, default=0) + max_new_tokens)
    memory = CACHE_BYTES
    if weight.device.type == "cuda":
        memory = torch.cuda.mem_get_info(weight.device)[0] // 2
    rows = memory // (capacity * bytes_a_position(model))
    return KeyValueCache(model.config, max(1, min(rows, len(lengths))), capacity, weight)


def _next_group(waiting: deque[int], texts: Sequence[Sequence[int]], free: int) -> list[int]:
    """Take the next texts for which there are rows, one at least and not too many tokens."""
    group = [waiting.popleft()]
    tokens = len(texts[group[0]])
    while waiting and len(group) < free:
        tokens += len(texts[waiting[0]])
        if tokens > PROMPT_TOKENS:
            break
        group.append(waiting.popleft())
    return group


def _slide(
    model: GPTModel, text: list[int], left: int, end_of_text: int, choose: Choose, number: int
) -> None:
    """The chapter's own loop, for a text that outgrew the context: its window slides.

    Every position moves with each token then, so there is nothing to keep.

    Args:
        text: token ids; new ones are added.
        left: most tokens to add.
        number: of the text.
    """
    device = model.tok_emb.weight.device
    for _ in range(left):
        window = torch.tensor([text[-model.config.context_length :]], device=device)
        [token] = choose(model.out_head(model.hidden(window)[:, -1]), [number])
        if token == end_of_text:
            return
        text.append(token)

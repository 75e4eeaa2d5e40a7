"""Greedy responses of GPT-2 small: the pipeline, transformers and the textbook loop, taking turns.

python -m benchmarks.generate [--data FOLDER] [--new-tokens N] [--rounds 1] [--prompts 110]
    [--threads N]

The prompts are the 110 of the chapter's test split. Random weights do not end a response, so each
ends after as many tokens as its reference, at most 256, or all after --new-tokens. transformers
generates with its key-value cache, prompts padded on the left, in batches of 8 of similar length
and all at once. The textbook, which would take hours for all that, is timed token by token at
eleven lengths from the start to the end of the median response to the median prompt. Before
anything is timed, all have to choose the same first tokens.

On a busy machine, ratios of CPU seconds are the ones to trust: waiting threads use none.
"""

import sys
from collections.abc import Callable, Sequence
from statistics import median

import torch

from benchmarks.common import (
    MATMUL_FLOPS,
    NEVER,
    Limited,
    arguments,
    load_entries,
    machine,
    matmul,
    random_gpt2_small,
    seconds_of,
)
from benchmarks.opponents import Transformers
from tests.support.oracle import generate_textbook, logits_of
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.generation.generate import generate
from workflow.lib.model.gpt import GPTModel
from workflow.lib.tokens.prompt_style import load_style

MOST = 256  # new tokens, as in the chapter
BATCH, ALL = "transformers, 8 at a time", "transformers, all at once"
TARGETS = {"textbook": 100, BATCH: 5, ALL: 5}  # how many times as fast the pipeline is to be
SAME = 3, 4  # prompts and new tokens that are compared

Prompts = Sequence[Sequence[int]]


def main() -> None:
    chosen = arguments(__doc__, rounds=1, new_tokens=0, prompts=110)
    entries, tokenizer = load_entries(chosen.data)
    style, start = load_style("alpaca"), int(0.85 * len(entries))
    tested = entries[start : start + chosen.prompts]
    wanted = [
        chosen.new_tokens or min(MOST, len(tokenizer.encode_ordinary(style.completion(entry))))
        for entry in tested
    ]
    texts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in tested]
    pairs = sorted(zip(texts, wanted, strict=True), key=lambda pair: len(pair[0]))
    prompts, limits = [prompt for prompt, _ in pairs], [limit for _, limit in pairs]
    model = random_gpt2_small(tokenizer.n_vocab).eval()
    other = Transformers(model).eval()
    speed_up(model, torch.device("cpu"))
    check_same_tokens(model, other, prompts)

    sample = prompts[len(prompts) // 2]
    new = sorted(limits)[len(limits) // 2]
    text = torch.tensor([(sample * 100)[: len(sample) + new]])
    lengths = range(len(sample), text.shape[1] + 1, max(1, new // 10))
    written = sum(limits)

    def textbook() -> None:
        for length in lengths:
            next_token(model, text[:, :length])

    def transformers(rows: int) -> None:
        for start in range(0, len(prompts), rows):
            other.respond(prompts[start : start + rows], limits[start : start + rows])

    def pipeline() -> None:
        list(generate(model, prompts, max(limits), NEVER, Limited(limits)))

    sides: dict[str, tuple[Callable[[], None], int]] = {  # with the tokens that each generates
        "textbook": (textbook, len(lengths)),
        BATCH: (lambda: transformers(8), written),
        ALL: (lambda: transformers(len(prompts)), written),
        "pipeline": (pipeline, written),
    }
    seconds: dict[str, list[list[float]]] = {name: [] for name in sides}  # of a token, two clocks
    products = []
    for _ in range(chosen.rounds):
        products.append(seconds_of(lambda: matmul(0)).wall)
        for name, (action, tokens) in sides.items():
            seconds[name].append([spent / tokens for spent in seconds_of(action)])
    print(machine())
    print(
        f"{len(prompts)} prompts, {min(limits)} to {max(limits)} new tokens each, {written} in all"
    )
    print(f"{'tokens per second':28}{'':>10}{'pipeline x':>12}{'by CPU x':>10}{'target':>8}")
    medians = {n: [median(of) for of in zip(*s, strict=True)] for n, s in seconds.items()}
    ours = medians["pipeline"]
    for name, (wall, cpu) in medians.items():
        target = TARGETS.get(name, "")
        print(f"{name:28}{1 / wall:10.2f}{wall / ours[0]:12.2f}{cpu / ours[1]:10.2f}{target:>8}")
    rate, square = matrix_flops(model, prompts, written) / written / ours[0], median(products)
    print(f"its matrix products: {rate / 1e9:.0f} GFLOP/s of {MATMUL_FLOPS / square / 1e9:.0f}")


def check_same_tokens(model: GPTModel, other: Transformers, prompts: Prompts) -> None:
    """Compare the first tokens of a few prompts of different lengths.

    Raises:
        SystemExit: they differ.
    """
    few, tokens = SAME
    some = [prompts[n * (len(prompts) - 1) // (few - 1)] for n in range(few)]
    ours = dict(generate(model, some, tokens, NEVER))
    found = {
        "pipeline": [ours[number] for number in range(few)],
        "transformers": other.respond(some, [tokens] * few),
        "textbook": [generate_textbook(model, prompt, tokens, NEVER) for prompt in some],
    }
    if len({str(answers) for answers in found.values()}) > 1:
        sys.exit(f"different first tokens, so times would not compare: {found}")


def matrix_flops(model: GPTModel, prompts: Prompts, written: int) -> float:
    """Return the FLOPs of the pipeline's products, without attention.

    Args:
        prompts: shortest first; their common beginning is computed once.
        written: number of new tokens of all.
    """
    blocks = sum(p.numel() for p in model.trf_blocks.parameters() if p.ndim == 2)
    places = enumerate(zip(*prompts, strict=False))
    shared = next((place for place, tokens in places if len({*tokens}) > 1), len(prompts[0]))
    read = sum(map(len, prompts)) - shared * (len(prompts) - 1)
    return 2 * (blocks * (read + written) + model.out_head.weight.numel() * written)


@torch.no_grad()
def next_token(model, tokens):
    """Compute one token as the textbook loop does."""
    return int(logits_of(model, tokens)[0, -1].argmax())


if __name__ == "__main__":
    main()

"""Greedy responses of GPT-2 small: the textbook loop and the pipeline.

python -m benchmarks.generate [--data FOLDER] [--new-tokens 128] [--rounds 3] [--threads N]

The pipeline answers the 110 prompts of the chapter's test split, all of them up to the last token:
random weights do not end a response. The textbook, which would take hours for that, is timed token
by token at eleven lengths from the start to the end of a response of the median prompt.
"""

import time
from statistics import mean, median

import torch

from benchmarks.common import (
    MATMUL_FLOPS,
    arguments,
    load_entries,
    machine,
    matmul,
    random_gpt2_small,
)
from tests.support.oracle import generate_textbook, logits_of
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.generation.generate import generate
from workflow.lib.tokens.prompt_style import load_style

NEVER = -1  # an end-of-text token that no model generates


def main() -> None:
    chosen = arguments(__doc__, rounds=3, new_tokens=128, prompts=110)
    entries, tokenizer = load_entries(chosen.data)
    style, start = load_style("alpaca"), int(0.85 * len(entries))
    tested = entries[start : start + chosen.prompts]
    prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in tested]
    model = random_gpt2_small(tokenizer.n_vocab).eval()
    speed_up(model, torch.device("cpu"))

    sample = sorted(prompts, key=len)[len(prompts) // 2]
    assert dict(generate(model, [sample], 3, NEVER))[0] == generate_textbook(
        model, sample, 3, NEVER
    )
    text = torch.tensor([(sample * 100)[: len(sample) + chosen.new_tokens]])
    lengths = range(len(sample), text.shape[1] + 1, max(1, chosen.new_tokens // 10))
    pipeline, textbook, rates = [], [], []
    for _ in range(chosen.rounds):
        rates.append(MATMUL_FLOPS / seconds_of(lambda: matmul(0)))
        textbook.append(
            mean(seconds_of(lambda n=n: next_token(model, text[:, :n])) for n in lengths)
        )
        took = seconds_of(lambda: list(generate(model, prompts, chosen.new_tokens, NEVER)))
        pipeline.append(len(prompts) * chosen.new_tokens / took)
    blocks = sum(p.numel() for p in model.trf_blocks.parameters() if p.ndim == 2)
    shared = next(n for n, tokens in enumerate(zip(*prompts, strict=False)) if len({*tokens}) > 1)
    read = sum(map(len, prompts)) - shared * (len(prompts) - 1)  # positions of the prompts
    written = len(prompts) * chosen.new_tokens
    flops = 2 * (blocks * (read + written) + model.out_head.weight.numel() * written)
    print(machine())
    print(f"{len(prompts)} prompts, {chosen.new_tokens} new tokens each")
    print(f"textbook {1 / median(textbook):8.2f} tokens per second")
    print(f"pipeline {median(pipeline):8.1f} tokens per second, ", end="")
    print(f"{median(pipeline) * median(textbook):.0f} x")
    rate = flops / written * median(pipeline)
    print(f"its matrix products: {rate / 1e9:.0f} GFLOP/s of {median(rates) / 1e9:.0f}")


@torch.no_grad()
def next_token(model, tokens):
    """Compute one token as the textbook loop does."""
    return int(logits_of(model, tokens)[0, -1].argmax())


def seconds_of(action) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

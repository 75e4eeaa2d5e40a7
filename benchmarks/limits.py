"""What limits a step of finetuning GPT-2 small, and generating with it, on this CPU.

python -m benchmarks.limits [--data FOLDER] [--rounds 9] [--threads N]

Shows the rate of every matrix product of a step in both libraries beside that of a square one, how
the time of a step is spread over operations, and the most that two changes would save which the
pipeline does not make:

- leaving the token embedding's rows without a gradient out of a step (bound: training none of them)
- attention over the common beginning of prompts once for all of them while generating
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import (
    GPT2_SMALL,
    MATMUL_FLOPS,
    arguments,
    load_entries,
    machine,
    matmul,
    matmul_onednn,
    medians,
    random_gpt2_small,
    shuffled_batches,
)
from benchmarks.sides import pipeline
from tests.support.oracle import collate_textbook
from workflow.lib.fast.packing import pack
from workflow.lib.fast.products import product

HEADS, WIDTH = GPT2_SMALL["n_heads"], GPT2_SMALL["emb_dim"]
SHOWN = 12  # operations
PROMPTS, BEGINNING = 110, 22  # of the chapter's test split, and the tokens that all begin with
LENGTHS = (67, 99, 163)  # seen on average with 64, 128 and 256 new tokens
LAYERS = 6  # whose caches together are larger than the processor's


def main() -> None:
    chosen = arguments(__doc__, rounds=9)
    entries, tokenizer = load_entries(chosen.data)
    batches = shuffled_batches(entries, tokenizer, chosen.rounds + 1, collate_textbook)
    print(machine())
    _rates(len(pack(batches[:1]).token_ids), max(tokenizer.n_vocab, 50257), chosen.rounds)
    _steps(batches, tokenizer.n_vocab, chosen.rounds)
    for seen in LENGTHS:
        _attention(seen, chosen.rounds)


def _rates(rows: int, vocab_size: int, rounds: int) -> None:
    """Print the rate of each product of a step, as a share of the faster square one."""
    square = medians({"MKL": matmul, "oneDNN": matmul_onednn}, rounds)
    best = MATMUL_FLOPS / min(square.values())
    print(f"products of {rows} rows, share of the square one's {best / 1e9:.0f} GFLOP/s:")
    for width, out in ((WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH), (WIDTH, vocab_size)):
        seconds = medians(_products(rows, width, out), rounds)
        done = 2 * rows * width * out / best
        shown = ", ".join(f"{name} {done / took:.0%}" for name, took in seconds.items())
        print(f"  {width} x {out}: {shown}")


def _products(rows: int, width: int, out: int) -> dict[str, Callable[[int], Tensor]]:
    """Return the three products of a linear layer, each by both libraries."""
    x, weight, grad = torch.randn(rows, width), torch.randn(out, width), torch.randn(rows, out)
    memory = torch.empty_like(weight)
    return {
        "forward MKL": lambda _: x @ weight.T,
        "forward oneDNN": lambda _: product(x, weight),
        "input's gradient MKL": lambda _: grad @ weight,
        "input's gradient oneDNN": lambda _: product(grad, weight.T),
        "weight's gradient MKL": lambda _: torch.mm(grad.T, x, out=memory),
        "weight's gradient oneDNN": lambda _: product(grad.T, x.T),
    }


def _steps(batches: list, vocab_size: int, rounds: int) -> None:
    """Print the shares of a step, and how much faster it is without the token embedding's."""
    model = random_gpt2_small(vocab_size)
    step = pipeline(model, batches, torch.get_num_threads())["step"]

    def without_embedding(number: int) -> None:
        weight = model.tok_emb.weight
        weight.requires_grad_(False)
        weight.grad = None
        step(number)
        weight.requires_grad_(True)

    seconds = medians({"step": step, "without": without_embedding}, rounds)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for number in range(rounds):
            step(number)
    operations = sorted(recorded.key_averages(), key=lambda each: -each.self_cpu_time_total)
    whole = sum(each.self_cpu_time_total for each in operations)
    print(f"a step takes {seconds['step']:.2f} s:")
    for each in operations[:SHOWN]:
        print(f"  {each.self_cpu_time_total / whole:6.1%} {each.key}")
    gain = seconds["step"] / seconds["without"]
    print(f"training no token embedding: {gain:.3f} x as fast")


def _attention(seen: int, rounds: int) -> None:
    """Print what attention over the common beginning once for all rows would save."""
    size = HEADS, WIDTH // HEADS
    keys, values = (torch.randn(LAYERS, PROMPTS, size[0], seen + 40, size[1]) for _ in range(2))
    for cached in (keys, values):
        cached[:, :, :, :BEGINNING] = cached[:, :1, :, :BEGINNING]
    queries = torch.randn(PROMPTS, size[0], 1, size[1])
    lengths = torch.randint(seen - 20, seen, (PROMPTS, 1))
    hidden = torch.zeros(PROMPTS, seen).masked_fill(torch.arange(seen) > lengths, -torch.inf)

    def each_row(layer: int) -> Tensor:
        known = keys[layer, :, :, :seen], values[layer, :, :, :seen]
        return scaled_dot_product_attention(queries, *known, attn_mask=hidden[:, None, None])

    def beginning_once(layer: int) -> Tensor:
        asked = queries[:, :, 0].transpose(0, 1) * size[1] ** -0.5  # (H, B, D/H)
        scores = asked @ keys[layer, 0, :, :BEGINNING].mT  # (H, B, P)
        sums = scores.logsumexp(-1)
        first = (scores - sums[..., None]).exp() @ values[layer, 0, :, :BEGINNING]
        rest, rest_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            queries,
            keys[layer, :, :, BEGINNING:seen],
            values[layer, :, :, BEGINNING:seen],
            attn_mask=hidden[:, None, None, BEGINNING:],
        )
        share = torch.sigmoid(sums.T[..., None] - rest_sums.view(PROMPTS, -1, 1))[..., None]
        return rest.lerp(first.transpose(0, 1)[:, :, None], share)

    torch.testing.assert_close(each_row(0), beginning_once(0))
    layers: dict[str, Callable[[int], object]] = {
        each.__name__: lambda _, each=each: [each(layer) for layer in range(LAYERS)]
        for each in (each_row, beginning_once)
    }
    seconds = medians(layers, rounds)
    gain = seconds["each_row"] / seconds["beginning_once"]
    print(f"attention over {seen} positions, the common {BEGINNING} once: {gain:.2f} x as fast")


if __name__ == "__main__":
    main()

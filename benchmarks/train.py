"""A step of finetuning GPT-2 small: the textbook loop and the pipeline, taking turns.

python -m benchmarks.train [--data FOLDER] [--rounds 5] [--threads N]

Both get the same batches of 8 and the same evaluations; the textbook is tests/support/oracle.py.
The pipeline computes the batches of an evaluation together, the textbook one after the other. Each
has its own process, as if it ran alone.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from torch.nn.functional import cross_entropy

from benchmarks.common import (
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
from tests.support.oracle import collate_textbook, logits_of
from workflow.lib.fast.cpu_kernels import recycle_gradients, speed_up
from workflow.lib.fast.packing import PackedBatch, pack
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTModel
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.training.optimizer import make_optimizer

WARM_UP = 2  # rounds


def main() -> None:
    chosen = arguments(__doc__, rounds=5)
    entries, tokenizer = load_entries(chosen.data)
    evaluation = Evaluation()
    together = 2 * evaluation.batches  # of both splits
    count = max(chosen.rounds + WARM_UP, together)
    batches = shuffled_batches(entries, tokenizer, count, collate_textbook)
    sides = {}
    for name, prepare in (("textbook", _textbook), ("pipeline", _pipeline)):
        prepared = prepare, (batches, tokenizer.n_vocab, chosen.threads)
        sides[name] = ProcessPoolExecutor(1, get_context("spawn"), *prepared)

    def of(side: str, action: str) -> Callable[[int], None]:
        return lambda number: sides[side].submit(_act, action, number).result()

    seconds = medians(
        {
            "textbook step": of("textbook", "step"),
            "pipeline step": of("pipeline", "step"),
            "textbook batch evaluated": of("textbook", "evaluate"),
            "pipeline evaluation": of("pipeline", "evaluate"),
            "MKL": of("pipeline", "MKL"),
            "oneDNN": of("pipeline", "oneDNN"),
        },
        chosen.rounds,
        WARM_UP,
    )
    with torch.device("meta"):  # for its shape
        model = random_gpt2_small(tokenizer.n_vocab)
    seconds["pipeline batch evaluated"] = seconds["pipeline evaluation"] / together
    share = together / evaluation.every  # batches evaluated for every step
    whole = {
        kind: seconds[f"{kind} step"] + share * seconds[f"{kind} batch evaluated"]
        for kind in ("textbook", "pipeline")
    }
    trained, evaluated = batches[WARM_UP : WARM_UP + chosen.rounds], batches[:together]
    packed = [pack([batch]) for batch in trained]
    padded = sum(inputs.numel() for inputs, _ in trained)
    distinct = sum(len(batch.token_ids) for batch in packed)
    flops = sum(matrix_flops(model, batch) for batch in packed) / len(packed)
    merged = pack(evaluated)
    merged_flops = matrix_flops(model, merged) / together
    print(machine())
    print(f"positions of a batch: {padded / chosen.rounds:.0f} padded, ", end="")
    print(f"{distinct / chosen.rounds:.0f} distinct ({padded / distinct:.2f} x fewer)")
    apart = sum(len(pack([batch]).token_ids) for batch in evaluated)
    print(f"positions of an evaluation: {apart} batch by batch, {len(merged.token_ids)} together")
    print(f"{'seconds':28}{'textbook':>10}{'pipeline':>10}{'ratio':>8}")
    for label, times in (
        ("a step", [seconds["textbook step"], seconds["pipeline step"]]),
        ("a batch evaluated", [seconds[f"{k} batch evaluated"] for k in ("textbook", "pipeline")]),
        ("a step with its evaluations", [whole["textbook"], whole["pipeline"]]),
    ):
        print(f"{label:28}{times[0]:10.2f}{times[1]:10.2f}{times[0] / times[1]:8.2f}")
    rates = {library: MATMUL_FLOPS / seconds[library] for library in ("MKL", "oneDNN")}
    shown = ", ".join(f"{rate / 1e9:.0f} by {library}" for library, rate in rates.items())
    print(f"matrix products of 2048 x 2048, GFLOP/s: {shown}; of the positions computed:")
    for label, done, took in (
        ("a step", 3 * flops, seconds["pipeline step"]),
        ("a batch evaluated", merged_flops, seconds["pipeline batch evaluated"]),
        ("a step with its evaluations", 3 * flops + share * merged_flops, whole["pipeline"]),
    ):
        reached = ", ".join(f"{done / took / rate:.0%} of {name}'s" for name, rate in rates.items())
        print(f"{label:28}{done / took / 1e9:10.0f} GFLOP/s, {reached}")


Batches = list[tuple[torch.Tensor, torch.Tensor]]
_ACTIONS: dict[str, Callable[[int], object]] = {}  # of this process


def _act(name: str, number: int) -> None:
    _ACTIONS[name](number)


def _textbook(batches: Batches, vocab_size: int, threads: int) -> None:
    """Prepare the chapter's loop in a fresh process."""
    torch.set_num_threads(threads)
    model, training = random_gpt2_small(vocab_size), Training()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )

    def loss(number: int) -> torch.Tensor:
        inputs, targets = batches[number]
        return cross_entropy(logits_of(model, inputs).flatten(0, 1), targets.flatten())

    def step(number: int) -> None:
        optimizer.zero_grad()
        loss(number).backward()
        optimizer.step()

    _ACTIONS.update(step=step, evaluate=torch.no_grad()(loss))


def _pipeline(batches: Batches, vocab_size: int, threads: int) -> None:
    """Prepare the pipeline's step, and plain matrix products for comparison."""
    prepare_device(Computing(device="cpu", threads=threads))
    model, training = random_gpt2_small(vocab_size), Training()
    speed_up(model, torch.device("cpu"))
    optimizer = make_optimizer(model, training)
    recycle_gradients(model, optimizer)
    engine = Engine(model)

    def step(number: int) -> None:
        optimizer.zero_grad()
        engine.backward(*batches[number])
        optimizer.step()

    def evaluate(_: int) -> None:
        engine.losses(batches[: 2 * Evaluation().batches])

    _ACTIONS.update(step=step, evaluate=evaluate, MKL=matmul, oneDNN=matmul_onednn)


def matrix_flops(model: GPTModel, batch: PackedBatch) -> float:
    """Return the FLOPs of a forward pass without attention, 1% of it at this length."""
    weights = sum(p.numel() for p in model.trf_blocks.parameters() if p.ndim == 2)
    return 2 * (len(batch.token_ids) * weights + len(batch.targets) * model.out_head.weight.numel())


if __name__ == "__main__":
    main()

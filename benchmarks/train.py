"""A step of finetuning GPT-2 small: the pipeline and what it is measured against, taking turns.

python -m benchmarks.train [--data FOLDER] [--rounds 5] [--layers 12] [--threads N]

Textbook and transformers, plain and compiled by torch (benchmarks/opponents.py), get the same
padded batches of 8 as the pipeline, start from the same weights, and evaluate the same batches: the
pipeline all batches of an evaluation together, the others one after the other. Before anything is
timed, all have to compute the same loss. Compiling needs a C++ compiler; its time is shown apart.

ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2
TORCHINDUCTOR_CPP_MARCH=haswell before the command hold all sides to AVX2, the last of them the code
that torch compiles. Five processes of GPT-2 small need 18 GB.

On a busy machine, ratios of CPU seconds are the ones to trust: waiting threads use none.
"""

import sys
import time
from statistics import median

import torch

from benchmarks.common import (
    GPT2_SMALL,
    MATMUL_FLOPS,
    arguments,
    load_entries,
    machine,
    shuffled_batches,
)
from benchmarks.sides import OPPONENTS, TOGETHER, Batches, FailedError, Side, start
from tests.support.oracle import collate_textbook
from workflow.lib.fast.packing import PackedBatch, pack
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.settings.recipe import Evaluation

WARM_UP = 2  # rounds
MOST_APART = 1e-4  # of the losses of one batch
SHARE = TOGETHER / Evaluation().every  # batches evaluated for every step
TARGETS = {  # of a step with its evaluations, by the instructions that torch uses
    "AVX2": {"textbook": 2.5, "transformers compiled": 2.2},
    "AVX512": {"textbook": 3.3},
}
TARGET_RATE = 0.85  # of the better library's for square matrices


def main() -> None:
    chosen = arguments(__doc__, rounds=5, layers=GPT2_SMALL["n_layers"])
    entries, tokenizer = load_entries(chosen.data)
    count = max(chosen.rounds + WARM_UP, TOGETHER)
    batches = shuffled_batches(entries, tokenizer, count, collate_textbook)
    shape = GPT2_SMALL | {"n_layers": chosen.layers}
    config = GPTConfig(vocab_size=max(tokenizer.n_vocab, 50257), **shape)
    print(machine(), flush=True)
    sides = prepare(batches, config, chosen.threads)
    for number in range(WARM_UP + chosen.rounds):
        for side in sides:
            of_pipeline = ("evaluate all", "MKL", "oneDNN")
            for action in ("step", *(of_pipeline if side.name == "pipeline" else ("evaluate",))):
                side.do(action, number, timed=number >= WARM_UP)
    describe_batches(batches[WARM_UP : WARM_UP + chosen.rounds], batches[:TOGETHER])
    *opponents, pipeline = sides
    compare(opponents, pipeline)
    with torch.device("meta"):  # for its shape
        model = GPTModel(config)
    packed = [pack([batch]) for batch in batches[WARM_UP : WARM_UP + chosen.rounds]]
    stepped = 3 * sum(matrix_flops(model, batch) for batch in packed) / len(packed)
    show_rates(pipeline, stepped, matrix_flops(model, pack(batches[:TOGETHER])) / TOGETHER)


def prepare(batches: Batches, config: GPTConfig, threads: int) -> list[Side]:
    """Return the sides that can run, the pipeline last, with all code compiled.

    Raises:
        SystemExit: their losses of the first batch differ.
    """
    sides: list[Side] = []
    losses: dict[str, object] = {}
    lengths = [inputs.shape[1] for inputs, _ in batches]
    others = [number for number, length in enumerate(lengths) if length != lengths[0]]
    both = [0, *others[:1]]  # with the second length torch compiles for all of them
    for kind in (*OPPONENTS, "pipeline"):
        for name in (kind, f"{kind} compiled")[: 1 if kind == "pipeline" else 2]:
            began = time.perf_counter()
            try:
                side = start(name, batches, config, threads)
                losses[name] = side.do("evaluate", 0)  # before any step
                if name.endswith("compiled"):
                    for number in both:
                        side.do("step", number)
                        side.do("evaluate", number)
                    took = time.perf_counter() - began
                    print(f"{name}: {took:.0f} s to start and to compile", flush=True)
            except FailedError as reason:
                losses.pop(name, None)
                if kind == "pipeline":
                    raise
                print(f"{name}: left out: {reason}", flush=True)
                continue
            sides.append(side)
    values = [float(str(loss)) for loss in losses.values()]
    if max(values) - min(values) > MOST_APART:
        sys.exit(f"different losses of the first batch, so times would not compare: {losses}")
    print(f"loss of the first batch: {values[-1]:.4f}, {max(values) - min(values):.1e} apart")
    return sides


def describe_batches(trained: Batches, evaluated: Batches) -> None:
    """Print how many positions there are."""
    padded = sum(inputs.numel() for inputs, _ in trained)
    distinct = sum(len(pack([batch]).token_ids) for batch in trained)
    print(f"positions of a batch: {padded / len(trained):.0f} padded, ", end="")
    print(f"{distinct / len(trained):.0f} distinct ({padded / distinct:.2f} x fewer)")
    apart, together = (
        sum(len(pack([b]).token_ids) for b in evaluated),
        len(pack(evaluated).token_ids),
    )
    print(f"positions of an evaluation: {apart} batch by batch, {together} together")


def seconds_of(side: Side, clock: int) -> tuple[float, float, float]:
    """Return the medians for a step, a batch evaluated, and a step with its evaluations.

    Args:
        clock: 0 for the time that passes, 1 for the CPU's.
    """
    found = {action: median(s[clock] for s in of) for action, of in side.seconds.items()}
    batch = found["evaluate all"] / TOGETHER if "evaluate all" in found else found["evaluate"]
    return found["step"], batch, found["step"] + SHARE * batch


def compare(opponents: list[Side], pipeline: Side) -> None:
    """Print the seconds of all sides, and how many times as fast the pipeline is."""
    targets = TARGETS.get(torch.backends.cpu.get_cpu_capability(), {})
    ours = [seconds_of(pipeline, clock) for clock in (0, 1)]
    print(f"{'':24}{'a step':>10}{'a batch':>10}{'a step with':>13}{'pipeline':>10}{'by CPU':>9}")
    print(
        f"{'seconds':24}{'':>10}{'evaluated':>10}{'evaluations':>13}{'x':>10}{'x':>9}{'target':>9}"
    )
    for side in (*opponents, pipeline):
        wall, cpu = (seconds_of(side, clock) for clock in (0, 1))
        ratios = f"{wall[2] / ours[0][2]:10.2f}{cpu[2] / ours[1][2]:9.2f}"
        target = f"{targets.get(side.name, ''):>9}"
        print(f"{side.name:24}{wall[0]:10.2f}{wall[1]:10.2f}{wall[2]:13.2f}{ratios}{target}")


def show_rates(pipeline: Side, stepped: float, evaluated: float) -> None:
    """Print the rate of the pipeline's matrix products beside that of square ones.

    Args:
        stepped, evaluated: FLOPs of a step and of a batch evaluated.
    """
    libraries = {name: pipeline.seconds[name] for name in ("MKL", "oneDNN")}
    rates = {
        n: [MATMUL_FLOPS / median(s) for s in zip(*of, strict=True)] for n, of in libraries.items()
    }
    shown = ", ".join(f"{wall / 1e9:.0f} by {name}" for name, (wall, _) in rates.items())
    print(f"matrix products of 2048 x 2048, GFLOP/s: {shown}; of the positions computed:")
    labels = ("a step", "a batch evaluated", "a step with its evaluations")
    flops = stepped, evaluated, stepped + SHARE * evaluated
    by_clock = [seconds_of(pipeline, clock) for clock in (0, 1)]
    for label, done, *took in zip(labels, flops, *by_clock, strict=True):
        reached = ", ".join(
            f"{done / took[0] / wall:.0%} of {name}'s ({done / took[1] / cpu:.0%} by CPU)"
            for name, (wall, cpu) in rates.items()
        )
        target = f"; target {TARGET_RATE:.0%} of the better" if label == labels[2] else ""
        print(f"{label:28}{done / took[0] / 1e9:6.0f} GFLOP/s, {reached}{target}")


def matrix_flops(model: GPTModel, batch: PackedBatch) -> float:
    """Return the FLOPs of a forward pass without attention, 1% of it at this length."""
    weights = sum(p.numel() for p in model.trf_blocks.parameters() if p.ndim == 2)
    return 2 * (len(batch.token_ids) * weights + len(batch.targets) * model.out_head.weight.numel())


if __name__ == "__main__":
    main()

"""A step of finetuning GPT-2 small: the textbook loop and the engine, taking turns.

python -m benchmarks.train [--data FOLDER] [--rounds 5] [--threads N]

Both get the same batches of 8 and the same evaluations; the textbook's code is tests/oracle.py.
"""

import torch
from torch.nn.functional import cross_entropy

from benchmarks.common import (
    MATMUL_FLOPS,
    arguments,
    load_entries,
    machine,
    matmul,
    medians,
    random_gpt2_small,
    shuffled_batches,
)
from tests.oracle import collate_textbook, logits_of
from workflow.lib.model import GPTModel
from workflow.lib.optimise import make_optimizer, update
from workflow.lib.packing import PackedBatch, pack
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.train import loss_parts


def main() -> None:
    chosen = arguments(__doc__, rounds=5)
    entries, tokenizer = load_entries(chosen.data)
    batches = shuffled_batches(entries, tokenizer, chosen.rounds + 1, collate_textbook)
    training, evaluation = Training(), Evaluation()
    model = random_gpt2_small(tokenizer.n_vocab)
    textbook_model = random_gpt2_small(tokenizer.n_vocab)
    optimizer = make_optimizer(model, training)
    textbook_optimizer = torch.optim.AdamW(
        textbook_model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )

    def textbook_loss(number: int) -> torch.Tensor:
        inputs, targets = batches[number]
        return cross_entropy(logits_of(textbook_model, inputs).flatten(0, 1), targets.flatten())

    def textbook_step(number: int) -> None:
        textbook_optimizer.zero_grad()
        textbook_loss(number).backward()
        textbook_optimizer.step()

    def engine_step(number: int) -> None:
        for part in loss_parts(model, *batches[number]):
            part.backward()
        update(optimizer, training, number, 1000)

    seconds = medians(
        {
            "textbook step": textbook_step,
            "engine step": engine_step,
            "textbook batch evaluated": torch.no_grad()(textbook_loss),
            "engine batch evaluated": torch.inference_mode()(
                lambda number: sum(loss_parts(model, *batches[number]))
            ),
            "matmul": matmul,
        },
        chosen.rounds,
    )
    share = 2 * evaluation.batches / evaluation.every  # batches evaluated for every step
    whole = {
        kind: seconds[f"{kind} step"] + share * seconds[f"{kind} batch evaluated"]
        for kind in ("textbook", "engine")
    }
    packed = [pack(*batch) for batch in batches[1:]]
    padded = sum(inputs.numel() for inputs, _ in batches[1:])
    distinct = sum(len(batch.token_ids) for batch in packed)
    flops = sum(matrix_flops(model, batch) for batch in packed) / len(packed)
    rate = MATMUL_FLOPS / seconds["matmul"]
    print(machine())
    print(f"positions of a batch: {padded / chosen.rounds:.0f} padded, ", end="")
    print(f"{distinct / chosen.rounds:.0f} distinct ({padded / distinct:.2f} x fewer)")
    print(f"{'seconds':28}{'textbook':>10}{'engine':>10}{'ratio':>8}")
    for label, times in (
        ("a step", [seconds["textbook step"], seconds["engine step"]]),
        ("a batch evaluated", [seconds[f"{k} batch evaluated"] for k in ("textbook", "engine")]),
        ("a step with its evaluations", [whole["textbook"], whole["engine"]]),
    ):
        print(f"{label:28}{times[0]:10.2f}{times[1]:10.2f}{times[0] / times[1]:8.2f}")
    print(f"matrix products of 2048 x 2048: {rate / 1e9:.0f} GFLOP/s; of the positions computed:")
    for label, done, took in (
        ("a step", 3 * flops, seconds["engine step"]),
        ("a batch evaluated", flops, seconds["engine batch evaluated"]),
        ("a step with its evaluations", (3 + share) * flops, whole["engine"]),
    ):
        print(f"{label:28}{done / took / 1e9:10.0f} GFLOP/s{done / took / rate:8.0%}")


def matrix_flops(model: GPTModel, batch: PackedBatch) -> float:
    """Of the matrix products of a forward pass; attention, 1% of it at this length, left out."""
    weights = sum(p.numel() for p in model.trf_blocks.parameters() if p.ndim == 2)
    return 2 * (len(batch.token_ids) * weights + len(batch.targets) * model.out_head.weight.numel())


if __name__ == "__main__":
    main()

"""A step of finetuning GPT-2 small with two processes of one thread each, against one process.

python -m benchmarks.distributed [--data FOLDER] [--rounds 5] [--layers 12]

The cases take turns on the same batches of 8, in two processes; a process without a part in a case
waits. The matrix products show how much two processes at once slow each other down.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from benchmarks.common import (
    GPT2_SMALL,
    arguments,
    load_entries,
    machine,
    matmul,
    medians,
    shuffled_batches,
)
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.parallel.distributed import DistributedEngine
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.world import World
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import collate
from workflow.lib.training.optimizer import make_optimizer

CPU = torch.device("cpu")


def main() -> None:
    chosen = arguments(__doc__, rounds=5, layers=GPT2_SMALL["n_layers"])
    entries, tokenizer = load_entries(chosen.data)
    batches = shuffled_batches(entries, tokenizer, chosen.rounds + 1, collate)
    shape = GPT2_SMALL | {"n_layers": chosen.layers}
    config = GPTConfig(vocab_size=max(tokenizer.n_vocab, 50257), **shape)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_process, (folder, config, batches, chosen.rounds), nprocs=2)


def _process(
    rank: int, folder: str, config: GPTConfig, batches: list[tuple[Tensor, Tensor]], rounds: int
) -> None:
    """Run one of the two processes."""
    store = dist.FileStore(str(Path(folder) / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    together = _training(config, batches, World(rank, 2))
    alone = _training(config, batches, World()) if rank == 0 else None

    def turn(action: Callable[[int], object] | None, threads: int) -> Callable[[int], None]:
        def taken(number: int) -> None:
            if action:
                torch.set_num_threads(threads)
                action(number)
            dist.barrier()

        return taken

    seconds = medians(
        {
            "1 process, 1 thread": turn(alone, 1),
            "1 process, 2 threads": turn(alone, 2),
            "2 processes, 1 thread each": turn(together, 1),
            "matrix products of one": turn(matmul if rank == 0 else None, 1),
            "matrix products of both at once": turn(matmul, 1),
        },
        rounds,
    )
    if rank == 0:
        print(machine())
        one, two, both, product, products = seconds.values()
        for name, took in list(seconds.items())[:3]:
            print(f"{name:28}{took:8.2f} s a step")
        print(f"two processes over one of 1 thread {one / both:.2f} x, ", end="")
        print(f"efficiency {one / both / 2:.0%}; over one of 2 threads {two / both:.2f} x")
        print(f"matrix products of both at once take {products / product:.2f} x as long as of one")
    dist.destroy_process_group()


def _training(
    config: GPTConfig, batches: list[tuple[Tensor, Tensor]], world: World
) -> Callable[[int], None]:
    """Return a function that trains a model of random weights by one step."""
    torch.manual_seed(123)
    model, training = GPTModel(config), Training()
    speed_up(model, CPU)
    one = world.world_size == 1
    engine = Engine(model) if one else DistributedEngine(model, world, CPU)
    optimizer = make_optimizer(model, training)

    def step(number: int) -> None:
        optimizer.zero_grad()
        engine.backward(*batches[number])
        optimizer.step()

    return step


if __name__ == "__main__":
    main()

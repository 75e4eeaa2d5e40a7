"""The pipeline's own training loop with one of its engines, as the book recipe runs it."""

from contextlib import suppress
from itertools import islice
from typing import Any

import torch

from benchmarks.gpu.bench import Bench
from workflow.lib.model.device import make_repeatable
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.training.optimizer import make_optimizer
from workflow.lib.training.progress import Progress
from workflow.lib.training.train import Hooks, evaluate, train


class Traced(GraphEngine):
    """The engine, which also measures each batch before it learns from it."""

    def backward(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        self.__dict__.setdefault("trace", []).extend(self.losses([(inputs, targets)]))
        super().backward(inputs, targets)


class EnoughError(Exception):
    """Ends a training early."""


class StopAfter(Hooks):
    """Ends a training after some steps."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def after_step(self, progress: Progress) -> None:
        if progress.step == self.steps:
            raise EnoughError


def finetune_model(
    bench: Bench, engine: Engine, epochs: int, steps: int | None = None, initial: bool = True
) -> dict[str, Any]:
    """Train with the book recipe's settings.

    Args:
        engine: of a model on the device.
        steps: most steps; all if None.
        initial: whether to measure the losses before the first step.

    Returns:
        the losses at each evaluation, and the seconds of the training.
    """
    make_repeatable(bench.device)
    training, evaluation, loaders = Training(epochs=epochs), Evaluation(), bench.data.loaders
    before = None
    if initial:
        torch.manual_seed(training.seed)
        before = evaluate(engine, loaders, evaluation.batches)
    torch.manual_seed(training.seed)
    progress, optimizer = Progress(), make_optimizer(engine.model, training)

    def run() -> None:
        with suppress(EnoughError):
            train(engine, optimizer, loaders, training, evaluation, progress, StopAfter(steps))

    seconds = bench.seconds(run)
    return {
        "initial": before,
        "losses": [(row.train_loss, row.val_loss) for row in progress.losses],
        "steps": progress.step,
        "seconds": round(seconds, 3),
    }


def warm_up(bench: Bench, engine: Engine) -> None:
    """Compute two batches without changing the weights: libraries load and choose."""
    make_repeatable(bench.device)
    batches = list(islice(bench.data.loaders.val, 2))
    for batch in batches:
        engine.backward(*batch)
    engine.losses(batches)
    engine.model.zero_grad()
    bench.wait()

"""The training loop of section 7.6: listing 7.8 calls chapter 5's train_model_simple.

What the chapter does in `calc_loss_batch` and `loss.backward()` is behind `engine`, which also
handles micro-batches, bfloat16 and several processes. What is written while training (samples,
checkpoints, the best weights) is behind `hooks`. `progress` counts, so that a training that was
killed resumes where it stopped.

Shuffling and evaluation draw their random numbers in the chapter's order, so that the same data,
weights and settings give the chapter's losses. Evaluating draws, too: it changes the order of the
next epoch.
"""

from itertools import islice
from statistics import fmean
from typing import NamedTuple

from torch.optim import Optimizer
from torch.utils.data import DataLoader

from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.training.optimizer import clip_gradients, learning_rate, set_learning_rate
from workflow.lib.training.progress import Progress


class Loaders(NamedTuple):
    """Batches of the training split, shuffled in every pass, and of the validation split."""

    train: DataLoader
    val: DataLoader


class Hooks:
    """The callbacks of the training loop; by default they do nothing."""

    def after_evaluation(self, progress: Progress) -> None:
        """Run after the losses of a step were added to the progress."""

    def after_step(self, progress: Progress) -> None:
        """Run after every step, and after its evaluation if it has one."""

    def after_epoch(self, progress: Progress) -> None:
        """Run after every epoch."""


def train(
    engine: Engine,
    optimizer: Optimizer,
    loaders: Loaders,
    training: Training,
    evaluation: Evaluation,
    progress: Progress,
    hooks: Hooks,
) -> None:
    """Train on from the given progress, as chapter 5's train_model_simple does.

    Args:
        engine: computes losses and gradients; its model is changed in place.
        optimizer: of the model's weights.
        loaders: batches to train on and to evaluate with.
        training: epochs, learning rate and clipping.
        evaluation: how often losses are measured, on how many batches of each split.
        progress: changed in place.
        hooks: called after evaluations, steps and epochs.
    """
    total_steps = training.epochs * len(loaders.train)
    for epoch in progress.epochs(training.epochs):
        for inputs, targets in progress.batches(loaders.train):
            optimizer.zero_grad()
            engine.backward(inputs, targets)
            clip_gradients(engine.model, training.clip_norm)
            set_learning_rate(optimizer, learning_rate(training, progress.step, total_steps))
            optimizer.step()
            progress.tokens_seen += inputs.numel()  # padding included

            if progress.step % evaluation.every == 0:
                train_loss, val_loss = evaluate(engine, loaders, evaluation.batches)
                log.info("Ep %d (Step %06d): Train loss %.3f, Val loss %.3f",
                         epoch, progress.step, train_loss, val_loss,
                         extra={"progress": (progress.step, total_steps)})  # fmt: skip
                progress.add_losses(train_loss, val_loss)
                hooks.after_evaluation(progress)

            progress.count_step()
            hooks.after_step(progress)
        hooks.after_epoch(progress)


def evaluate(engine: Engine, loaders: Loaders, batches: int) -> tuple[float, float]:
    """Return the mean losses of the first batches of both splits (chapter 5's evaluate_model).

    Each loader begins a new pass, which draws from the random generator. A mean is that of batch
    means (chapter 5's calc_loss_loader).
    """
    train = list(islice(loaders.train, batches))
    val = list(islice(loaders.val, batches))
    losses = engine.losses(train + val)
    return fmean(losses[: len(train)]), fmean(losses[len(train) :])

"""The training loop, as the chapter has it (section 7.6, listing 7.8).

Shuffling and evaluation take their random numbers in the chapter's order, so the same data, weights
and settings give the chapter's losses. Evaluating draws too: it changes the next epoch's order.
"""

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from workflow.lib.fast.packing import summed_loss
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.weights import trainable_state
from workflow.lib.parallel.engine import ALONE, Team
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.collate import IGNORE_INDEX
from workflow.lib.training.checkpoint import Evaluated, State, remaining_batches
from workflow.lib.training.optimizer import update


def train_model(
    state: State,
    train_loader: DataLoader,
    val_loader: DataLoader,
    training: Training,
    evaluation: Evaluation,
    *,
    bf16: bool = False,
    team: Team = ALONE,
    after_step: Callable[[State], None],
    after_epoch: Callable[[int], None],
) -> None:
    """Chapter 5's train_model_simple, from wherever the state is.

    Args:
        state: changed in place.
        train_loader, val_loader: batches; the first shuffles.
        team: the processes that share every batch.
        after_step: called after every step and its evaluation.
        after_epoch: called with the number of finished epochs.
    """
    model = state.model
    began = time.perf_counter() - state.seconds
    all_steps = training.epochs * len(train_loader)
    for epoch in range(state.epoch, training.epochs + 1):
        state.epoch = epoch
        for inputs, targets in remaining_batches(train_loader, state):
            model.train()
            parts = training.gradient_accumulation
            for part in loss_parts(model, inputs, targets, parts, bf16, team):
                part.backward()  # gradients of the parts add up to that of the batch
            update(state.optimizer, training, state.steps, all_steps)
            state.tokens_seen += inputs.numel()
            if state.steps % evaluation.every == 0:
                losses = evaluate(model, train_loader, val_loader, training, evaluation, bf16, team)
                evaluated = Evaluated(state.steps, epoch, state.tokens_seen, *losses)
                _note(state, evaluated, training.keep, team)
            state.steps += 1
            state.batches_done += 1
            state.seconds = time.perf_counter() - began
            after_step(state)
        after_epoch(epoch)
        state.batches_done = 0


def evaluate(
    model: GPTModel,
    train_loader: DataLoader,
    val_loader: DataLoader,
    training: Training,
    evaluation: Evaluation,
    bf16: bool = False,
    team: Team = ALONE,
) -> tuple[float, float]:
    """Mean of batch means over the first batches of both sets (chapter 5's evaluate_model).

    Each loader begins a new pass, which draws from the random generator. The processes of a team
    share the batches and get the same means.
    """
    model.eval()
    means = []
    for loader in (train_loader, val_loader):
        with team.without_gradients():
            losses = [
                sum(loss_parts(model, *batch, training.gradient_accumulation, bf16, team))
                for batch in islice(loader, evaluation.batches)
            ]
        whole = team.sum(torch.stack(losses))
        means.append(sum(whole.tolist()) / len(losses))  # a GPU is waited for here
    return means[0], means[1]


def loss_parts(
    model: GPTModel,
    inputs: Tensor,
    targets: Tensor,
    parts: int = 1,
    bf16: bool = False,
    team: Team = ALONE,
) -> Iterator[Tensor]:
    """Mean cross-entropy over the targets of a batch that count, as summands (section 7.3).

    Every summand is divided by the targets of the whole batch, so that it does not matter how
    these are spread over the parts, nor over the processes: their losses add up to that of the
    batch, and so do their gradients, which they exchange in the last part.

    Args:
        inputs, targets: (B, T), as `collate` makes them.
        parts: how many to compute one after the other, each of about B / parts sequences.
        bf16: whether matrices are multiplied in bfloat16.
        team: the processes; each yields the loss of its own sequences.
    """
    counted = int((targets != IGNORE_INDEX).sum())
    if not counted:
        raise UserError(
            "a batch has prompts alone, cut before their responses; raise training.max_length or "
            "set training.too_long: drop"
        )
    chunks = zip(inputs.chunk(parts), targets.chunk(parts), strict=True)
    counting = [chunk for chunk in chunks if (chunk[1] != IGNORE_INDEX).any()]
    for chunk in counting:
        with torch.autocast(model.tok_emb.weight.device.type, torch.bfloat16, enabled=bf16):
            last = chunk is counting[-1]
            loss = team.loss_of_share(summed_loss, model, *chunk, last=last)
        yield loss / counted


def _note(state: State, evaluated: Evaluated, keep: str, team: Team) -> None:
    """Add an evaluation; keep a copy of the weights if it is the best and that is wanted."""
    losses = evaluated.train_loss, evaluated.val_loss
    log.info("Ep %d (Step %06d): Train loss %.3f, Val loss %.3f",
             evaluated.epoch, evaluated.step, *losses)  # fmt: skip
    if not all(map(math.isfinite, losses)):
        raise UserError(
            f"the loss is {losses} at step {evaluated.step}; lower training.learning_rate"
        )
    if keep == "best" and all(evaluated.val_loss < e.val_loss for e in state.evaluations):
        weights = team.whole(trainable_state(state.model)).items()
        state.best = {name: weight.to("cpu", copy=True) for name, weight in weights}
    state.evaluations.append(evaluated)

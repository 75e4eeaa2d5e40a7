"""What makes a step of finetuning out of gradients: optimizer, learning rate, clipping."""

import math

import torch
from torch import nn
from torch.optim import AdamW

from workflow.lib.settings.recipe import Training


def make_optimizer(model: nn.Module, training: Training) -> AdamW:
    """The chapter's AdamW (section 7.6) of all weights that train, each step in one pass."""
    return AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )


def update(optimizer: AdamW, training: Training, step: int, steps: int) -> None:
    """Change the weights by the gradients they hold, and forget the gradients.

    Args:
        optimizer: of the weights.
        training: how.
        step: number of this step, from 0.
        steps: how many the whole training takes.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(training, step, steps)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if training.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(weights, training.clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def learning_rate(training: Training, step: int, steps: int) -> float:
    """Learning rate of a step: rising over `warmup_steps`, then falling as `decay` says.

    Without either it is the chapter's constant. A decay is at its full rate in the first step
    after the warm-up and would be at 0 one step after the last.

    Args:
        step: from 0.
        steps: of the whole training.
    """
    warmup = training.warmup_steps
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if training.decay == "linear":
        return training.learning_rate * (1 - done)
    if training.decay == "cosine":
        return training.learning_rate * (1 + math.cos(math.pi * done)) / 2
    return training.learning_rate

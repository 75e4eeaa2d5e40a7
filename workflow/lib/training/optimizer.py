"""The optimizer, its learning rate and the clipping of gradients."""

import math

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from workflow.lib.settings.recipe import Training


def make_optimizer(model: nn.Module, training: Training) -> AdamW:
    """Return the chapter's AdamW (section 7.6) for all weights that train, fused."""
    return AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )


def clip_gradients(model: nn.Module, max_norm: float | None) -> None:
    """Scale all gradients down together if their norm is larger than `max_norm`."""
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(training: Training, step: int, total_steps: int) -> float:
    """Return the learning rate of a step: rising over `warmup_steps`, then falling by `decay`.

    Without either it is the chapter's constant. A decay starts at the full rate in the first step
    after the warm-up and would reach 0 one step after the last.

    Args:
        step: from 0.
        total_steps: of the whole training.
    """
    warmup = training.warmup_steps
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    if training.decay == "linear":
        return training.learning_rate * (1 - done)
    if training.decay == "cosine":
        return training.learning_rate * (1 + math.cos(math.pi * done)) / 2
    return training.learning_rate

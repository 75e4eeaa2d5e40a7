"""A training that is killed goes on where its last checkpoint was, and ends as if never killed.

The checkpoint is a side file that Snakemake does not know of: the outputs of a job that fails are
deleted. It holds everything that the next step depends on, random numbers included, and belongs to
one set of settings, inputs and code; any other is ignored.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.utils.data import DataLoader

from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.weights import load_trainable, trainable_state, write_tensors
from workflow.lib.parallel.engine import ALONE, Team
from workflow.lib.runtime.errors import first_line
from workflow.lib.runtime.log import log

PAUSE = 60.0  # seconds between two checkpoints if their steps are not given


@dataclass(frozen=True)
class Evaluated:
    """Losses after a step; steps count from 0, epochs from 1, tokens with padding."""

    step: int
    epoch: int
    tokens_seen: int
    train_loss: float
    val_loss: float


@dataclass
class State:
    """All that changes while a model is finetuned.

    Args:
        model, optimizer: hold the weights and what AdamW remembers of each; none without epochs.
        initial_losses: train and val, before the first step.
        epoch: the one under way, from 1.
        batches_done: of that epoch.
        steps: done in all.
        tokens_seen: in all, padding included.
        seconds: of training and evaluation, runs that were killed included up to the checkpoint.
        evaluations: so far.
        samples: responses so far, as in samples.json.
        best: trained weights of the lowest validation loss so far, if they are to be kept.
        epoch_began: state of the random generator from which this epoch's order is drawn.
        resumed_at: steps that were done whenever a killed training went on.
    """

    model: GPTModel
    optimizer: AdamW | None
    initial_losses: tuple[float, float] = (0.0, 0.0)
    epoch: int = 1
    batches_done: int = 0
    steps: int = 0
    tokens_seen: int = 0
    seconds: float = 0.0
    evaluations: list[Evaluated] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    epoch_began: Tensor | None = None
    resumed_at: list[int] = field(default_factory=list)


class Checkpoint:
    """The side file of one training.

    Args:
        path: where it is.
        belongs_to: whatever the training depends on, as JSON can hold it.
        every: steps between two checkpoints; if None, one a minute, or fewer where writing one
            takes longer than a twentieth of the time between them.
        team: the processes; the first writes, all read, and there may be more or fewer of them
            when the training goes on.
    """

    def __init__(
        self, path: Path, belongs_to: dict[str, Any], every: int | None, team: Team = ALONE
    ) -> None:
        self.path = path
        self.team = team
        self.key = hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode()).hexdigest()
        self.every = every
        self.due_at = time.monotonic() + PAUSE

    def save_if_due(self, state: State) -> None:
        """Write the state, unless it is too early for that."""
        began = time.monotonic()
        due = state.steps % self.every == 0 if self.every else began >= self.due_at
        if self.team.decided(due):
            self.save(state)
            now = time.monotonic()
            self.due_at = now + max(PAUSE, 20 * (now - began))

    def save(self, state: State) -> None:
        """Write the state beside the file, then put it in place in one step."""
        content = vars(state) | {
            "key": self.key,
            "model": self.team.whole(trainable_state(state.model)),
            "optimizer": self.team.whole_optimizer(state.optimizer),
            "evaluations": [asdict(evaluated) for evaluated in state.evaluations],
            "random": _random_states(state.model),
        }
        if not self.team.leads:
            return
        try:
            write_tensors(content, self.path)
        except (OSError, RuntimeError) as error:  # a full disk must not end the training
            log.info("no checkpoint at step %d: %s", state.steps, first_line(error))

    def restore(self, state: State) -> bool:
        """Take up the state of the same training that was killed; whether there was one."""
        if not self.path.exists():
            return False
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, UnpicklingError, EOFError, LookupError, ValueError) as error:
            log.info("%s: not readable (%s); starting anew", self.path, first_line(error))
            return False
        if content.pop("key", None) != self.key:
            log.info("%s: of other settings, inputs or code; starting anew", self.path)
            return False
        self._load(state.model, state.optimizer, content.pop("model"), content.pop("optimizer"))
        _set_random_states(state.model, content.pop("random"))
        state.evaluations = [Evaluated(**values) for values in content.pop("evaluations")]
        for name, value in content.items():
            setattr(state, name, value)
        state.resumed_at.append(state.steps)
        log.info("Resumed after %d steps, from %s", state.steps, self.path)
        return True

    def _load(
        self, model: GPTModel, optimizer: AdamW, weights: dict[str, Tensor], means: dict[str, Any]
    ) -> None:
        """Take up weights and what AdamW remembers, of which each process may hold a part."""
        own = trainable_state(model)
        load_trainable(model, {n: self.team.spread(w, own[n]) for n, w in weights.items()})
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        spread = {
            number: {name: self.team.spread(value, trained[number]) for name, value in of.items()}
            for number, of in means["state"].items()
        }
        optimizer.load_state_dict(means | {"state": spread})

    def remove(self) -> None:
        """Nothing is left once the outputs are written."""
        self.path.unlink(missing_ok=True)


def remaining_batches(loader: DataLoader, state: State) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of the epoch that are still to come.

    An epoch's order is drawn when its first batch is asked for. After a resumption it is drawn once
    more from where the generator stood then, and the generator is put back to where it was.
    """
    now = torch.get_rng_state()
    if state.batches_done:
        torch.set_rng_state(state.epoch_began)
    else:
        state.epoch_began = now
    batches = iter(loader)
    for _ in range(state.batches_done):
        next(batches)
    if state.batches_done:
        torch.set_rng_state(now)
    return batches


def _random_states(model: GPTModel) -> dict[str, Tensor]:
    """Of torch's generator, which shuffles, and of a GPU's, which drops out."""
    kind = model.tok_emb.weight.device.type
    states = {"cpu": torch.get_rng_state()}
    return states if kind == "cpu" else states | {kind: getattr(torch, kind).get_rng_state()}


def _set_random_states(model: GPTModel, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    kind = model.tok_emb.weight.device.type
    if kind in states and kind != "cpu":
        getattr(torch, kind).set_rng_state(states[kind])

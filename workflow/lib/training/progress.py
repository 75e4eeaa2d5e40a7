"""The progress of a training, in values that a checkpoint can hold."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor
from torch.utils.data import DataLoader

from workflow.lib.fast.packing import Batch
from workflow.lib.runtime.errors import UserError


@dataclass(frozen=True)
class Losses:
    """Losses after a step; steps count from 0, epochs from 1, tokens with padding."""

    step: int
    epoch: int
    tokens_seen: int
    train_loss: float
    val_loss: float


@dataclass
class Progress:
    """What changes during a training, apart from weights and optimizer.

    Args:
        initial_losses: train and val, before the first step.
        epoch: the current one, from 1.
        batches_done: of that epoch.
        step: the current one, from 0; also the number of steps done.
        tokens_seen: in all, padding included.
        seconds: of training and evaluation; of runs that were killed, up to their checkpoints.
        losses: of all evaluations so far.
        samples: responses so far, as in samples.json.
        best_weights: trained weights of the lowest validation loss so far, if they are kept.
        epoch_random_state: of the generator, before it drew the order of this epoch.
        resumed_at: the number of steps done at each resumption.
    """

    __pydantic_config__: ClassVar = ConfigDict(
        arbitrary_types_allowed=True, allow_inf_nan=False, extra="forbid"
    )

    initial_losses: tuple[float, float] = (0.0, 0.0)
    epoch: int = 1
    batches_done: int = 0
    step: int = 0
    tokens_seen: int = 0
    seconds: float = 0.0
    losses: list[Losses] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    best_weights: dict[str, Tensor] | None = None
    epoch_random_state: Tensor | None = None
    resumed_at: list[int] = field(default_factory=list)

    def epochs(self, count: int) -> Iterator[int]:
        """Yield the remaining ones of `count` epochs, the current one first."""
        self._began = time.perf_counter() - self.seconds
        for epoch in range(self.epoch, count + 1):
            self.epoch = epoch
            yield epoch
            self.batches_done = 0

    def batches(self, loader: DataLoader) -> Iterator[Batch]:
        """Return the batches that remain of this epoch.

        An epoch's order is drawn when its first batch is asked for. After a resumption it is drawn
        again from the state that the generator had then, and the generator is put back.
        """
        now = torch.get_rng_state()
        if not self.batches_done:
            self.epoch_random_state = now
            return iter(loader)
        if self.epoch_random_state is not None:
            torch.set_rng_state(self.epoch_random_state)
        batches = iter(loader)
        for _ in range(self.batches_done):
            next(batches)
        torch.set_rng_state(now)
        return batches

    def count_step(self) -> None:
        """Count a step that is done."""
        self.step += 1
        self.batches_done += 1
        self.seconds = time.perf_counter() - self._began

    def add_losses(self, train_loss: float, val_loss: float) -> None:
        """Add the losses measured after this step.

        Raises:
            UserError: one is not a finite number.
        """
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise UserError(
                f"the losses at step {self.step} are {train_loss} and {val_loss}; lower "
                "training.learning_rate"
            )
        self.losses.append(Losses(self.step, self.epoch, self.tokens_seen, train_loss, val_loss))

    @property
    def is_best(self) -> bool:
        """True if the last validation loss is the lowest."""
        *earlier, last = self.losses
        return all(last.val_loss < losses.val_loss for losses in earlier)

    @property
    def kept_step(self) -> int | None:
        """The step whose weights are stored; None before the first."""
        if self.best_weights:
            return min(self.losses, key=lambda losses: losses.val_loss).step
        return self.step - 1 if self.step else None

    def state_dict(self) -> dict[str, Any]:
        """Return everything as values that torch.load reads with weights_only."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return state | {"losses": [asdict(losses) for losses in self.losses]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a value is missing or of another type; then nothing is changed.
        """
        if state.keys() != (names := {f.name for f in fields(self)}):
            raise ValueError(f"other keys: {', '.join(sorted(map(str, state.keys() ^ names)))}")
        read = TypeAdapter(Progress).validate_python(state)
        for name in names:
            setattr(self, name, getattr(read, name))

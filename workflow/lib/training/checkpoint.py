"""The file from which a killed training resumes, to end as if never interrupted.

Snakemake does not know of it, because it deletes the declared outputs of a job that fails. It holds
everything that the next step depends on, random numbers included, and belongs to one set of
settings, inputs and code; a checkpoint of any other is ignored.
"""

import hashlib
import json
import time
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from workflow.lib.model.weights import load_trainable, trainable_state, write_tensors
from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.errors import first_line
from workflow.lib.runtime.log import log
from workflow.lib.training.progress import Progress

PAUSE = 60.0  # seconds between two checkpoints if their steps are not given


class Checkpoint:
    """The checkpoint of one training.

    Args:
        path: of the file.
        belongs_to: whatever the training depends on, as JSON can hold it.
        every: steps between two checkpoints; if None, one a minute, or fewer where writing one
            takes longer than a twentieth of the time between them.
        engine: of the model. The leader writes and all processes read; there may be more or fewer
            of them when the training resumes.
        optimizer: of the model; None without epochs, when nothing is written.
    """

    def __init__(
        self,
        path: Path,
        belongs_to: dict[str, Any],
        every: int | None,
        engine: Engine,
        optimizer: AdamW | None,
    ) -> None:
        self.path = path
        self.key = hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode()).hexdigest()
        self.every = every
        self.engine = engine
        self.optimizer = optimizer
        self.due_at = time.monotonic() + PAUSE

    def save_if_due(self, progress: Progress) -> None:
        """Write a checkpoint if the last one is long enough ago."""
        began = time.monotonic()
        due = progress.step % self.every == 0 if self.every else began >= self.due_at
        if self.engine.takes_part(due):
            self.save(progress)
            now = time.monotonic()
            self.due_at = now + max(PAUSE, 20 * (now - began))

    def save(self, progress: Progress) -> None:
        """Write a checkpoint in one step, in place of the last one."""
        if self.optimizer is None:
            return
        content = progress.state_dict() | {
            "key": self.key,
            "model": self.engine.full_state(trainable_state(self.engine.model)),
            "optimizer": self.engine.full_optimizer_state(self.optimizer),
            "random": self._random_states(),
        }
        if not self.engine.world.is_leader:
            return
        try:
            write_tensors(content, self.path)
        except (OSError, RuntimeError) as error:  # a full disk must not end the training
            log.info("no checkpoint at step %d: %s", progress.step, first_line(error))

    def restore(self, progress: Progress) -> bool:
        """Restore weights, optimizer, random numbers and progress.

        Returns:
            whether there was a checkpoint of this training.
        """
        if self.optimizer is None or not self.path.exists():
            return False
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, UnpicklingError, EOFError, LookupError, ValueError) as error:
            log.info("%s: not readable (%s); starting again", self.path, first_line(error))
            return False
        if content.pop("key", None) != self.key:
            log.info("%s: of other settings, inputs or code; starting again", self.path)
            return False
        self._load_weights(content.pop("model"))
        self._load_optimizer(self.optimizer, content.pop("optimizer"))
        self._set_random_states(content.pop("random"))
        progress.load_state_dict(content)
        progress.resumed_at.append(progress.step)
        log.info("Resumed after %d steps, from %s", progress.step, self.path)
        return True

    def remove(self) -> None:
        """Delete the file, once the outputs are written."""
        self.path.unlink(missing_ok=True)

    def _load_weights(self, weights: dict[str, Tensor]) -> None:
        """Load the weights, or this process's part of each."""
        own = trainable_state(self.engine.model)
        load_trainable(
            self.engine.model,
            {name: self.engine.local_state(full, own[name]) for name, full in weights.items()},
        )

    def _load_optimizer(self, optimizer: AdamW, content: dict[str, Any]) -> None:
        """Load AdamW's moments, or this process's part of each."""
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        moments = {
            number: {n: self.engine.local_state(full, weights[number]) for n, full in of.items()}
            for number, of in content["state"].items()
        }
        optimizer.load_state_dict(content | {"state": moments})

    def _random_states(self) -> dict[str, Tensor]:
        """Return the states of torch's generator, which shuffles, and of a GPU's, for dropout."""
        kind = self.engine.model.tok_emb.weight.device.type
        states = {"cpu": torch.get_rng_state()}
        return states if kind == "cpu" else states | {kind: getattr(torch, kind).get_rng_state()}

    def _set_random_states(self, states: dict[str, Tensor]) -> None:
        """Put the generators back into these states."""
        torch.set_rng_state(states["cpu"])
        kind = self.engine.model.tok_emb.weight.device.type
        if kind in states and kind != "cpu":
            getattr(torch, kind).set_rng_state(states[kind])

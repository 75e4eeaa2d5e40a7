"""The file from which a killed training resumes, to end as if never interrupted.

Snakemake does not know of it, because it deletes the declared outputs of a job that fails. It holds
everything that the next step depends on, random numbers included, and belongs to one set of
settings, inputs and code; a checkpoint of any other is ignored.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from workflow.lib.model.weights import (
    load_trainable,
    read_tensors,
    trainable_state,
    write_tensors,
)
from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.lock import check_not_lost
from workflow.lib.runtime.log import log
from workflow.lib.training.interruption import Interruption
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
        self.interruption = Interruption()

    def save_if_due(self, progress: Progress) -> None:
        """Write a checkpoint if the last one is long enough ago or a process was asked to end.

        Raises:
            KeyboardInterrupt: one of the processes was asked to end; raised in all of them.
        """
        began = time.monotonic()
        ends = self.engine.world.any(self.interruption.asked)
        due = progress.step % self.every == 0 if self.every else began >= self.due_at
        if self.engine.takes_part(due or ends):
            written = self.save(progress)
            now = time.monotonic()
            self.due_at = now + max(PAUSE, 20 * (now - began))
            if ends and written:
                log.info("Checkpoint written; the same command goes on at step %d", progress.step)
        if ends:
            raise KeyboardInterrupt

    def save(self, progress: Progress) -> bool:
        """Write a checkpoint in one step, in place of the last one.

        Returns:
            whether it was written, by this process.

        Raises:
            UserError: another run has taken the file over.
        """
        if self.optimizer is None:
            return False
        content = progress.state_dict() | {
            "key": self.key,
            "model": self.engine.full_state(trainable_state(self.engine.model)),
            "optimizer": self.engine.full_optimizer_state(self.optimizer),
            "random": self._random_states(),
        }
        if not self.engine.world.is_leader:
            return False
        check_not_lost(self.path)
        try:
            write_tensors(content, self.path)
        except (OSError, RuntimeError) as error:  # a full disk must not end the training
            log.info("no checkpoint at step %d: %s", progress.step, first_line(error))
            return False
        return True

    def restore(self, progress: Progress) -> bool:
        """Restore weights, optimizer, random numbers and progress.

        Returns:
            whether there was a checkpoint of this training, whole and undamaged.
        """
        if self.optimizer is None or not self.path.exists():
            return False
        try:
            content = read_tensors(self.path, mmap=True)
        except UserError as error:  # names the file
            log.info("%s; starting again", str(error).partition(";")[0])
            return False
        except OSError as error:
            log.info("%s: not readable (%s); starting again", self.path, first_line(error))
            return False
        if not isinstance(content, dict) or content.pop("key", None) != self.key:
            log.info("%s: of other settings, inputs or code; starting again", self.path)
            return False
        weights, optimizer, random = (
            content.pop(k, None) for k in ("model", "optimizer", "random")
        )
        try:  # all is checked before anything is changed
            self._check_weights(weights)
            self._check_optimizer(self.optimizer, optimizer)
            self._check_random_states(random)
            if (best := content.get("best_weights")) is not None:
                check_tensors(best, trainable_state(self.engine.model))
            progress.load_state_dict(content)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            log.info("%s: not a checkpoint (%s); starting again", self.path, first_line(error))
            return False
        self._load_weights(weights)
        self._load_optimizer(self.optimizer, optimizer)
        self._set_random_states(random)
        progress.resumed_at.append(progress.step)
        log.info("Resumed after %d steps, from %s", progress.step, self.path)
        return True

    def remove(self) -> None:
        """Delete the file, once the outputs are written."""
        self.path.unlink(missing_ok=True)

    def _check_weights(self, weights: Any) -> None:
        """Raise an error if these are not the weights that training changes."""
        check_tensors(weights, trainable_state(self.engine.model))

    def _check_optimizer(self, optimizer: AdamW, content: Any) -> None:
        """Raise an error if this is not a state of the optimizer: moments of every weight."""
        own = optimizer.state_dict()["param_groups"]
        groups = content["param_groups"]
        if [(set(g), g["params"]) for g in groups] != [(set(g), g["params"]) for g in own]:
            raise ValueError("other groups of weights")
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        if set(content["state"]) != set(range(len(weights))):
            raise ValueError("moments of other weights")
        for number, weight in enumerate(weights):
            moments = {"step": torch.tensor(0.0), "exp_avg": weight, "exp_avg_sq": weight}
            check_tensors(content["state"][number], moments)

    def _check_random_states(self, states: Any) -> None:
        """Raise an error if these are not states of the generators."""
        own = self._random_states()
        check_tensors({kind: states[kind] for kind in own}, own)

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


def check_tensors(found: Any, like: Mapping[str, Tensor]) -> None:
    """Check that there are tensors of the same names, shapes and types.

    Args:
        like: may be sharded; its full shape counts.

    Raises:
        ValueError: there are others.
    """
    if not isinstance(found, dict) or found.keys() != like.keys():
        raise ValueError("other names of tensors")
    for name, tensor in like.items():
        other = found[name]
        if not isinstance(other, Tensor) or (other.shape, other.dtype) != (
            tensor.shape,
            tensor.dtype,
        ):
            raise ValueError(f"{name} has another shape or type")

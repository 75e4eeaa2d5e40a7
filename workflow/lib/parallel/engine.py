"""Losses and gradients of a batch: what one step of the training loop computes.

The loop of `training/train.py` is the chapter's. An engine computes its batches: packed instead of
padded, in micro-batches, in bfloat16 or float32. `graph_engine.py` launches them as CUDA graphs,
`distributed.py` adds processes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from workflow.lib.fast.head import widened
from workflow.lib.fast.packing import Batch, packed_losses
from workflow.lib.model.gpt import GPTModel
from workflow.lib.parallel.world import SINGLE_PROCESS, World
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.collate import IGNORE_INDEX

Result = TypeVar("Result")
# Micro-batches whose losses are computed together. For each position a training step keeps over 20
# times the memory that a pass without gradients uses at its peak, so evaluating never needs more.
TOGETHER = 16


class Engine:
    """A model in one process.

    Args:
        model: on the device to compute on.
        micro_batches: how many a batch is divided into, computed one after the other to save
            memory; the gradients add up to those of the batch.
        bf16: compute matrix products in bfloat16.
        packed: leave out padding and repeated prefixes (fast/packing.py); False computes the padded
            batch, as the chapter does.
    """

    world: World = SINGLE_PROCESS
    sharded = False  # whether every process holds a part of each weight

    def __init__(
        self, model: GPTModel, *, micro_batches: int = 1, bf16: bool = False, packed: bool = True
    ) -> None:
        self.model = model
        self.micro_batches = micro_batches
        self.bf16 = bf16
        self.packed = packed

    def backward(self, inputs: Tensor, targets: Tensor) -> None:
        """Compute the gradients of a batch's loss in training mode, for weights without any."""
        self.model.train()
        micro_batches, counted = self._divided(inputs, targets)
        for number, micro_batch in enumerate(micro_batches, 1):
            self.add_gradients(micro_batch, counted, last=number == len(micro_batches))

    def losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the loss of each batch, in evaluation mode and without gradients.

        Several batches are computed together: large matrix products are faster, and common
        beginnings are computed once for all of them.
        """
        self.model.eval()
        divided = [self._divided(*batch) for batch in batches]
        counted = torch.tensor([count for _, count in divided])
        parts = [part for micro_batches, _ in divided for part in micro_batches]
        sizes = torch.tensor([len(micro_batches) for micro_batches, _ in divided])
        batch = torch.arange(len(divided)).repeat_interleave(sizes)  # that each part is of
        with torch.no_grad():  # FSDP's weights and CUDA graphs do not support inference_mode
            passes = [
                self._summed_losses(parts[start : start + TOGETHER], last=True)
                for start in range(0, len(parts), TOGETHER)
            ]
            summed = self.world.all_reduce(torch.cat(passes)).cpu()  # waits for the GPU
            losses = summed.new_zeros(len(divided)).index_add_(0, batch, summed)
        return (losses / counted).tolist()

    def _divided(self, inputs: Tensor, targets: Tensor) -> tuple[list[Batch], int]:
        """Return the micro-batches of a batch, and how many of its targets count (section 7.3).

        The loss of a batch is the mean over its targets that count. The sum of each micro-batch is
        divided by the number of those in the whole batch, so that it does not matter how they are
        spread over micro-batches or processes.

        Raises:
            UserError: no target counts.
        """
        counted = int((targets != IGNORE_INDEX).sum())
        if not counted:
            raise UserError(
                "a batch has no responses left after truncation; raise training.max_length "
                "or set training.too_long: drop"
            )
        chunks = zip(
            inputs.chunk(self.micro_batches), targets.chunk(self.micro_batches), strict=True
        )
        return [chunk for chunk in chunks if (chunk[1] != IGNORE_INDEX).any()], counted

    def add_gradients(self, batch: Batch, counted: int, last: bool) -> None:
        """Add the gradients of a micro-batch.

        Args:
            counted: targets that count in the whole batch.
            last: whether it is the last before the step.
        """
        [loss] = self._summed_losses([batch], last)
        (loss / counted).backward()

    def _summed_losses(self, batches: list[Batch], last: bool) -> Tensor:
        """Return `summed_losses` in the engine's precision, (K,)."""
        with self.autocast(), self._random_numbers_of_rank():
            return self.summed_losses(batches, last)

    def autocast(self, **options: Any) -> torch.autocast:
        """Return the context in which matrix products have the engine's precision."""
        device_type = self.model.tok_emb.weight.device.type
        return torch.autocast(device_type, torch.bfloat16, enabled=self.bf16, **options)

    @contextmanager
    def _random_numbers_of_rank(self) -> Iterator[None]:
        """Draw dropout from random numbers of this rank alone.

        On a CPU the order of the batches is drawn from the same generator. This way that order does
        not depend on the number of processes, and each process drops out different values.
        """
        if not (self.model.training and self.model.config.drop_rate):
            yield
            return
        seed = int(torch.randint(2**62, ()))
        device = self.model.tok_emb.weight.device
        others = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(others, device_type="cuda" if not others else device.type):
            torch.manual_seed(seed + self.world.rank)
            yield

    def summed_losses(self, batches: list[Batch], last: bool) -> Tensor:
        """Return the sum of the cross-entropies of all targets that count in each batch.

        Args:
            batches: K of them; in each at least one target counts.
            last: whether these are the last before the step.

        Returns:
            (K,) on the model's device.
        """
        drops_out = self.model.training and self.model.config.drop_rate
        if self.packed and not drops_out:  # dropout draws a number for every padded position
            return packed_losses(self.model, batches)
        return torch.stack([self._padded_loss(*batch) for batch in batches])

    def _padded_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        device = self.model.tok_emb.weight.device
        logits = self.model(inputs.to(device)).flatten(0, 1)  # (B * T, V)
        return cross_entropy(widened(logits), targets.to(device).flatten(), reduction="sum")

    def full_optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state_dict of an optimizer, with full tensors as from `full_state`."""
        content = optimizer.state_dict()
        moments = {number: self.full_state(of) for number, of in content["state"].items()}
        return content | {"state": moments}

    # DistributedEngine overrides the following.

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that computes with the model."""
        return function(*arguments)

    def takes_part(self, decision: bool = True) -> bool:
        """Return whether this process takes part in what the leader decided to do."""
        return decision

    def full_state(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return full tensors, as one process holds them, to the leader."""
        return tensors

    def local_state(self, full: Tensor, like: Tensor) -> Tensor:
        """Return this process's part of a full tensor, sharded as `like` is."""
        return full

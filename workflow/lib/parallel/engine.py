"""The processes that compute one job together, as each of them sees it.

All draw the same batches from the same random numbers. Of each batch a process computes the loss of
its own sequences, divided by the targets of the whole batch, so that the gradients of all processes
add up to that of the batch, whoever computed what.
"""

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from workflow.lib.model.gpt import GPTModel
from workflow.lib.tokens.collate import IGNORE_INDEX

Result = TypeVar("Result")
Item = TypeVar("Item")
BYTES_A_WEIGHT = 16  # that trains: itself, its gradient and AdamW's two means, float32 each
BYTES_A_FROZEN_WEIGHT = 4
SHARE_FOR_WEIGHTS = 0.6  # of a GPU's memory; the rest is for what a batch needs


class UnansweredError(Exception):
    """A process neither did its part nor said that it was still at it."""

    def __init__(self, rank: int) -> None:
        super().__init__(f"process {rank} did not answer")
        self.rank = rank


class Team:
    """What a process knows of the others. By default it is alone, and nothing here does anything.

    Args:
        rank: its number, from 0; process 0 alone writes, logs and shows progress.
        size: how many there are.
        store: where they leave each other messages.
        patience: seconds to wait for a process that does not answer.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, store: dist.Store | None = None, patience: float = 600
    ) -> None:
        self.rank = rank
        self.size = size
        self.store = store
        self.patience = patience
        self.beat_at = 0.0
        self.exchanges = 0
        self.sharded = False
        self.wrapped: nn.Module | None = None

    @property
    def leads(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def prepare(self, model: GPTModel, device: torch.device, sharding: str = "none") -> None:
        """Put a model on this process's device, and have its gradients added up over all.

        Args:
            model: on the CPU, the same in every process; changed in place.
            device: where this process computes.
            sharding: full spreads the weights, and with them gradients and AdamW's means, over
                the processes (FSDP2); none has all of them everywhere; auto chooses.
        """
        if sharding == "auto":
            sharding = "full" if is_too_large(model, device) else "none"
        self.sharded = sharding == "full" and self.size > 1
        if self.sharded:
            from workflow.lib.parallel.sharding import shard

            self.wrapped = shard(model, _Calling(model), device)
            return
        model.to(device)
        if self.size > 1:
            self.wrapped = nn.parallel.DistributedDataParallel(
                _Calling(model), gradient_as_bucket_view=True
            )
            self.wrapped.register_comm_hook(None, _add_up)

    def without_gradients(self) -> AbstractContextManager:
        """For evaluating; inference_mode cannot be had with weights that are spread."""
        return torch.no_grad() if self.sharded else torch.inference_mode()

    def run(self, function: Callable[..., Result], model: GPTModel, *arguments: Any) -> Result:
        """Call a function of the model without gradients; where the weights are spread, all
        processes must do so together.
        """
        return self.wrapped(function, *arguments) if self.sharded else function(model, *arguments)

    def loss_of_share(
        self,
        loss: Callable[..., Tensor],
        model: GPTModel,
        inputs: Tensor,
        targets: Tensor,
        last: bool,
    ) -> Tensor:
        """The summed loss of this process's sequences.

        Args:
            loss: of a model, inputs and targets.
            inputs, targets: (B, T), of all processes; at least one target counts.
            last: whether gradients are added up over the processes when this loss is
                differentiated, together with those of the parts before.
        """
        if isinstance(self.wrapped, nn.parallel.DistributedDataParallel):
            self.wrapped.require_backward_grad_sync = last  # what DDP's no_sync() sets
        inputs, targets, counts = self.share(inputs, targets)
        with self._own_random_numbers(model):
            arguments = inputs, targets
            summed = self.wrapped(loss, *arguments) if self.wrapped else loss(model, *arguments)
        return summed if counts else 0 * summed

    def share(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, bool]:
        """The sequences of a batch that this process computes.

        They are dealt in turns, longest first. Who gets none takes the first, which then must not
        count: all processes compute something, because all wait for the gradients of all.

        Args:
            inputs, targets: (B, T); at least one target counts.

        Returns:
            inputs and targets, with at least one target, and whether they count.
        """
        if self.size == 1:
            return inputs, targets, True
        places = torch.arange(1, targets.shape[1] + 1)
        lengths = ((targets != IGNORE_INDEX) * places).amax(1)  # (B,), up to the last that counts
        order = lengths.argsort(descending=True, stable=True)[: int((lengths > 0).sum())]
        mine = order[self.rank :: self.size]
        rows = mine if len(mine) else order[:1]
        return inputs[rows], targets[rows], len(mine) > 0

    def deal(self, items: Sequence[Item]) -> list[Item]:
        """The items that fall to this process, dealt in turns."""
        return list(items[self.rank :: self.size])

    def sum(self, values: Tensor) -> Tensor:
        """Sums over all processes, the same in each; changed in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def beat(self) -> None:
        """Tell the others that this process is at work, at most once a second."""
        if self.store and time.monotonic() - self.beat_at >= 1:
            self.store.add(f"beats {self.rank}", 1)
            self.beat_at = time.monotonic()

    def collected(self, item: Item) -> list[Item]:
        """What every process has, for process 0, in order; the others get an empty list.

        Process 0 waits for each as long as that one goes on beating.

        Raises:
            UnansweredError: a process did not.
        """
        if self.store is None:
            return [item]
        self.exchanges += 1
        if not self.leads:
            self.store.set(f"item {self.exchanges} {self.rank}", pickle.dumps(item))
            return []
        return [item, *(self._item_of(rank) for rank in range(1, self.size))]

    def _item_of(self, rank: int) -> Any:
        """What another process has, once it is there."""
        key = f"item {self.exchanges} {rank}"
        beats, since = 0, time.monotonic()
        while not self.store.check([key]):
            if (now := self.store.add(f"beats {rank}", 0)) != beats:
                beats, since = now, time.monotonic()
            if time.monotonic() - since > self.patience:
                raise UnansweredError(rank)
            time.sleep(0.02)
        return pickle.loads(self.store.get(key))

    def decided(self, decision: bool) -> bool:
        """Process 0's decision, if what follows needs all of them; else each one's own."""
        if not self.sharded:
            return decision and self.leads
        answer = torch.tensor([decision])
        dist.broadcast(answer, 0)
        return bool(answer)

    def whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors as process 0 stores them; the others get an empty dict.

        If they are spread, they are put together one after the other in process 0's main memory,
        so that nobody else ever holds more than one of them.
        """
        if not self.sharded:
            return tensors if self.leads else {}
        from workflow.lib.parallel.sharding import gathered

        return gathered(tensors, self.leads)

    def whole_optimizer(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """An optimizer's state_dict in which `whole` was done with every tensor."""
        content = optimizer.state_dict()
        means = {number: self.whole(values) for number, values in content["state"].items()}
        return content | {"state": means}

    def spread(self, whole: Tensor, like: Tensor) -> Tensor:
        """What this process holds of a tensor that all have read: a part, if `like` is spread."""
        if not self.sharded:
            return whole
        from workflow.lib.parallel.sharding import part_of

        return part_of(whole, like)

    @contextmanager
    def _own_random_numbers(self, model: GPTModel) -> Iterator[None]:
        """For dropout: every process drops out other values, and the order of the batches, which
        is drawn from the same generator on a CPU, is the same for any number of processes.
        """
        if not (model.training and model.config.drop_rate):
            yield
            return
        seed = int(torch.randint(2**62, ()))
        device = model.tok_emb.weight.device
        others = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(others, device_type="cuda" if not others else device.type):
            torch.manual_seed(seed + self.rank)
            yield


ALONE = Team()


def is_too_large(model: GPTModel, device: torch.device) -> bool:
    """Whether training needs more than 0.6 of a GPU's memory before the first sequence."""
    if device.type != "cuda":
        return False
    needed = sum(
        weight.numel() * (BYTES_A_WEIGHT if weight.requires_grad else BYTES_A_FROZEN_WEIGHT)
        for weight in model.parameters()
    )
    return needed > SHARE_FOR_WEIGHTS * torch.cuda.get_device_properties(device).total_memory


class _Calling(nn.Module):
    """Calls functions of a model from a module's forward, which is where DDP and FSDP step in."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return function(self.model, *arguments)


def _add_up(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """DDP's exchange of gradients without its mean: the sum over all processes."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])

"""The sides of `benchmarks.train`: the same model and batches, each trained in its own way.

Each has a process of its own, as if it ran alone, and does what it is told, one action at a time.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import torch
import torch._inductor.config
from torch.nn.functional import cross_entropy

from benchmarks.common import matmul, matmul_onednn
from benchmarks.opponents import Chapter, Transformers
from workflow.lib.fast.cpu_kernels import recycle_gradients, speed_up
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.training.optimizer import make_optimizer

Batches = list[tuple[torch.Tensor, torch.Tensor]]
Actions = dict[str, Callable[[int], object]]
TOGETHER = 2 * Evaluation().batches  # of both splits
_ACTIONS: Actions = {}  # of this process


class FailedError(Exception):
    """A side that cannot run; the text says why, in one line."""


class Side:
    """A side in another process.

    Args:
        process: in which it was prepared.
    """

    def __init__(self, name: str, process: ProcessPoolExecutor) -> None:
        self.name, self.process = name, process
        self.seconds: dict[str, list[tuple[float, float]]] = {}  # by action: wall clock and CPU

    def do(self, action: str, number: int, timed: bool = False) -> object:
        """Do something and return its result.

        Raises:
            FailedError: it cannot be done.
        """
        try:
            result, *seconds = self.process.submit(_act, action, number).result()
        except BrokenProcessPool:
            raise FailedError("its process has ended, for a reason that it wrote above") from None
        if timed:
            self.seconds.setdefault(action, []).append(tuple(seconds))
        return result


def start(name: str, batches: Batches, config: GPTConfig, threads: int) -> Side:
    """Start a side in a process of its own.

    Args:
        name: pipeline, or one of OPPONENTS, alone or followed by "compiled".

    Raises:
        FailedError: it cannot be prepared.
    """
    side = Side(name, ProcessPoolExecutor(1, get_context("spawn")))
    side.process.submit(_prepare, name, batches, config, threads).result()
    return side


def _prepare(name: str, batches: Batches, config: GPTConfig, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(123)
    try:
        model = GPTModel(config)
        if name == "pipeline":
            _ACTIONS.update(pipeline(model, batches, threads))
        else:
            _ACTIONS.update(opponent(name, model, batches))
    except Exception as error:
        raise FailedError(_in_a_line(error)) from None


def _act(action: str, number: int) -> tuple[object, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        result = _ACTIONS[action](number)
    except Exception as error:  # not every error of the compiler can be sent to another process
        raise FailedError(_in_a_line(error)) from None
    return result, time.perf_counter() - wall, time.process_time() - cpu


def _in_a_line(error: Exception) -> str:
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:200]


OPPONENTS = {"textbook": Chapter, "transformers": Transformers}


def opponent(name: str, model: GPTModel, batches: Batches) -> Actions:
    """Return the actions of a loop over padded batches, which are evaluated one by one.

    Args:
        name: one of OPPONENTS, alone or followed by "compiled".
    """
    kind, *compiled = name.split()
    other = OPPONENTS[kind](model)
    optimizer = other.optimizer()

    def loss_of(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(other(inputs).flatten(0, 1), targets.flatten())

    loss = loss_of
    if compiled:
        # The cache would return code that was compiled for other instructions.
        torch._inductor.config.force_disable_caches = True
        loss = torch.compile(loss_of)

    def step(number: int) -> None:
        other.train()
        optimizer.zero_grad()
        loss(*batches[number]).backward()
        optimizer.step()

    @torch.no_grad()
    def evaluate(number: int) -> float:
        other.eval()
        return loss(*batches[number]).item()

    return {"step": step, "evaluate": evaluate}


def pipeline(model: GPTModel, batches: Batches, threads: int) -> Actions:
    """Return the pipeline's actions, and plain matrix products for comparison."""
    prepare_device(Computing(device="cpu", threads=threads))
    speed_up(model, torch.device("cpu"))
    optimizer = make_optimizer(model, Training())
    recycle_gradients(model, optimizer)
    engine = Engine(model)

    def step(number: int) -> None:
        optimizer.zero_grad()
        engine.backward(*batches[number])
        optimizer.step()

    def evaluate(number: int) -> float:
        return engine.losses([batches[number]])[0]

    def evaluate_all(_: int) -> None:
        engine.losses(batches[:TOGETHER])

    return {
        "step": step,
        "evaluate": evaluate,
        "evaluate all": evaluate_all,
        "MKL": matmul,
        "oneDNN": matmul_onednn,
    }

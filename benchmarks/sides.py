"""The sides of `benchmarks.train`: the same model and batches, each trained in its own way.

A process prepares the sides of one kind and then does what it is told, one action at a time, as if
it ran alone. A kind's compiled side has the weights and the optimizer of its plain side, because
five copies of GPT-2 small with their moments would need 17 GB.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
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
_SIDES: dict[str, Actions] = {}  # of this process


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
        result, *seconds = self.process.submit(_act, self.name, action, number).result()
        if timed:
            self.seconds.setdefault(action, []).append(tuple(seconds))
        return result


def start(kind: str, batches: Batches, config: GPTConfig, threads: int) -> list[Side]:
    """Start a process and return the sides in it.

    Args:
        kind: pipeline, or one of OPPONENTS.

    Raises:
        FailedError: it cannot be prepared.
    """
    process = ProcessPoolExecutor(1, get_context("spawn"))
    names = process.submit(_prepare, kind, batches, config, threads).result()
    return [Side(name, process) for name in names]


def _prepare(kind: str, batches: Batches, config: GPTConfig, threads: int) -> list[str]:
    torch.set_num_threads(threads)
    torch.manual_seed(123)
    try:
        model = GPTModel(config)
        if kind == "pipeline":
            _SIDES[kind] = pipeline(model, batches, threads)
        else:
            _SIDES.update(opponent(kind, model, batches))
    except Exception as error:
        raise FailedError(_in_a_line(error)) from None
    return [*_SIDES]


def _act(side: str, action: str, number: int) -> tuple[object, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        result = _SIDES[side][action](number)
    except Exception as error:  # not every error of the compiler can be sent to another process
        raise FailedError(_in_a_line(error)) from None
    return result, time.perf_counter() - wall, time.process_time() - cpu


def _in_a_line(error: Exception) -> str:
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:200]


OPPONENTS = {"textbook": Chapter, "transformers": Transformers}


def opponent(kind: str, model: GPTModel, batches: Batches) -> dict[str, Actions]:
    """Return the plain and the compiled loop over padded batches, evaluated one by one."""
    other = OPPONENTS[kind](model)
    optimizer = other.optimizer()

    def loss_of(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(other(inputs).flatten(0, 1), targets.flatten())

    def actions(loss: Callable[..., torch.Tensor]) -> Actions:
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

    return {kind: actions(loss_of), f"{kind} compiled": actions(torch.compile(loss_of))}


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

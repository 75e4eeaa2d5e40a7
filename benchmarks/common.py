"""Shared parts of the benchmarks: GPT-2 small, entries, and fair timing."""

import argparse
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import tiktoken
import torch

from workflow.lib.data.entries import read_entries
from workflow.lib.fast.products import product
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

NEVER = -1  # an end-of-text token that no model generates
ROOT = Path(__file__).resolve().parents[1]
SMALL_WORLD = ROOT / "workflow/resources/small-world"
GPT2_SMALL = {"context_length": 1024, "emb_dim": 768, "n_heads": 12, "n_layers": 12}


def arguments(description: str | None, **options: Any) -> argparse.Namespace:
    """Parse the options of a benchmark.

    Args:
        description: docstring of the benchmark.
        options: its own options with their defaults, besides --data and --threads.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with instruction-data.json and gpt2-tokenizer/; the small world if not given",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    for name, default in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    chosen = parser.parse_args()
    prepare_device(Computing(device="cpu", threads=chosen.threads))
    return chosen


def load_entries(data: Path | None) -> tuple[list[dict], tiktoken.Encoding]:
    """Return the entries to work on and their tokenizer.

    Args:
        data: folder as for --data; None for the small world.
    """
    if data is None:
        entries = SMALL_WORLD / "instruction-data.json"
        return read_entries(entries), load_tokenizer(SMALL_WORLD / "nano-1M")
    return read_entries(data / "instruction-data.json"), load_tokenizer(data / "gpt2-tokenizer")


def sequences_of(entries: list[dict], tokenizer: tiktoken.Encoding) -> list[list[int]]:
    """Return the token ids of whole entries in the chapter's prompt style."""
    style = load_style("alpaca")
    return [tokenizer.encode_ordinary(style.prompt(e) + style.completion(e)) for e in entries]


def shuffled_batches(
    entries: list[dict], tokenizer: tiktoken.Encoding, count: int, collate: Callable
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return batches of 8 entries each, in a fixed random order.

    Args:
        count: number of batches.
        collate: function of sequences and the end-of-text token that returns inputs and targets.
    """
    sequences = sequences_of(entries, tokenizer)
    order = torch.randperm(len(sequences), generator=torch.Generator().manual_seed(123)).tolist()
    return [
        collate([sequences[n] for n in order[start : start + 8]], tokenizer.eot_token)
        for start in range(0, 8 * count, 8)
    ]


def random_gpt2_small(vocab_size: int) -> GPTModel:
    """Return GPT-2 small with random weights, on which the speed does not depend."""
    torch.manual_seed(123)
    return GPTModel(GPTConfig(vocab_size=max(vocab_size, 50257), **GPT2_SMALL))


def medians(
    actions: Mapping[str, Callable[[int], object]], rounds: int, warm_up: int = 1
) -> dict[str, float]:
    """Return the median seconds of actions, which take turns so that noise affects them alike.

    Args:
        actions: by name; each gets the number of the round.
        warm_up: number of rounds before the timed ones.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(warm_up + rounds):
        for name, action in actions.items():
            began = time.perf_counter()
            action(number)
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}


class Seconds(NamedTuple):
    """Seconds that passed, and those of the CPU on any core, user and system."""

    wall: float
    cpu: float


def seconds_of(action: Callable[[], object]) -> Seconds:
    """Return the seconds of an action in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def run_timed(command: Sequence[object], folder: Path = ROOT) -> tuple[Seconds, str]:
    """Run a command and return its seconds and the last line of its output."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        list(map(str, command)), cwd=folder, check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = done.stdout.splitlines()
    return Seconds(time.perf_counter() - wall, cpu), lines[-1] if lines else ""


class Limited:
    """Greedy choices that end each response at a number of tokens."""

    def __init__(self, limits: Sequence[int]) -> None:
        self.left, self.sampler = [*limits], Sampler(Generation())

    def __call__(self, logits: torch.Tensor, numbers: Sequence[int]) -> list[int]:
        tokens = self.sampler(logits, numbers)
        for row, number in enumerate(numbers):
            if not self.left[number]:
                tokens[row] = NEVER
            self.left[number] -= 1
        return tokens


_FACTOR = torch.randn(2048, 2048)
MATMUL_FLOPS = 10 * 2 * 2048**3


def matmul(_: int) -> None:
    """Compute ten float32 matrix products, MATMUL_FLOPS in all."""
    for _ in range(10):
        _FACTOR @ _FACTOR


def matmul_onednn(_: int) -> None:
    """Compute the same by oneDNN, which the pipeline uses for large products on x86."""
    for _ in range(10):
        product(_FACTOR, _FACTOR)


def machine() -> str:
    """Return a line that names processor, threads and torch version."""
    name = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":")[1].strip() if lines else name
    return (
        f"{name}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
        f"torch {torch.__version__}"
    )

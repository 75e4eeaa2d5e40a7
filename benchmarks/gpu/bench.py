"""What all stages share: options, data, models, a budget of time, and results that survive it."""

import gc
import json
import time
from argparse import Namespace
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken
import torch

from benchmarks.common import load_entries, sequences_of
from workflow.lib.model.device import describe
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.dataloader import make_dataloader
from workflow.lib.tokens.dataset import TokenizedSplit
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.train import Loaders

MEDIUM = {"context_length": 1024, "emb_dim": 1024, "n_heads": 16, "n_layers": 24}
TINY = {"context_length": 256, "emb_dim": 32, "n_heads": 4, "n_layers": 2}
TINY_ENTRIES = 60


@dataclass(frozen=True)
class Data:
    """The chapter's three splits as tokens, with the prompts of the test split."""

    tokenizer: tiktoken.Encoding
    train: list[list[int]]
    val: list[list[int]]
    prompts: list[list[int]]
    references: list[int]  # tokens of each test entry's own response

    @property
    def loaders(self) -> Loaders:
        """Batches as the book recipe has them."""
        return Loaders(self._loader(self.train, True), self._loader(self.val, False))

    def _loader(self, sequences: list[list[int]], shuffle: bool) -> Any:
        arrays = [np.array(ids, np.int32) for ids in sequences]
        split = TokenizedSplit(arrays, np.zeros(len(arrays), int))
        return make_dataloader(split, self.tokenizer.eot_token, Training(), 1024, shuffle)


class Bench:
    """One stage in progress: every result is printed and written at once.

    Args:
        stage: its name; `{stage}.json` holds the results.
        options: of the command line.
    """

    def __init__(self, stage: str, options: Namespace) -> None:
        self.stage, self.options = stage, options
        self.device = torch.device(options.device)
        self.ends = time.monotonic() + 60 * options.minutes
        self.path = options.out / f"{stage}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.results: dict[str, Any] = {
            "device": describe(self.device), "torch": torch.__version__, "tiny": options.tiny,
            "quick": options.quick,
        }  # fmt: skip

    def add(self, name: str, **values: Any) -> None:
        """Print a result and write all of them so far."""
        self.results[name] = values
        print(f"{self.stage} | {name}: {json.dumps(values)}", flush=True)
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.results, indent=1))
        unfinished.replace(self.path)

    def attempt(self, name: str, seconds: float, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure one thing if there is time; a failure is a result too.

        Args:
            seconds: that it may take; with fewer left it is skipped.
        """
        if (left := self.ends - time.monotonic()) < seconds and not self.options.tiny:
            self.add(name, skipped=f"{left:.0f} s left, needs {seconds:.0f}")
            return
        began = time.monotonic()
        try:
            found = measure()
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"[:500]}
        self.add(name, **found, took=round(time.monotonic() - began, 1))
        torch.use_deterministic_algorithms(False)  # as a finetuning leaves them
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    @cached_property
    def config(self) -> GPTConfig:
        """The shape of GPT-2 medium, or a tiny one."""
        shape = TINY if self.options.tiny else MEDIUM
        return GPTConfig(self.data.tokenizer.n_vocab, **shape)

    @cached_property
    def data(self) -> Data:
        """The splits: 85% to train with, 10% to test, the rest to validate, as listing 7.3."""
        entries, tokenizer = load_entries(self.options.data)
        entries = entries[:TINY_ENTRIES] if self.options.tiny else entries
        trained, tested = int(0.85 * len(entries)), int(0.1 * len(entries))
        sequences, style = sequences_of(entries, tokenizer), load_style("alpaca")
        test = entries[trained : trained + tested]
        prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in test]
        whole = sequences[trained : trained + tested]
        lengths = [max(1, len(ids) - len(p)) for ids, p in zip(whole, prompts, strict=True)]
        return Data(tokenizer, sequences[:trained], sequences[trained + tested :], prompts, lengths)

    def model(self, device: torch.device | None = None) -> GPTModel:
        """Return the model with random weights, the same every time, on a device or its own."""
        return deepcopy(self._on_cpu).to(device or self.device)

    @cached_property
    def _on_cpu(self) -> GPTModel:
        return random_model(self.config, torch.device("cpu"))

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, action: Callable[[], object]) -> float:
        """Return how long an action takes, to the end of its last kernel."""
        self.wait()
        began = time.perf_counter()
        action()
        self.wait()
        return time.perf_counter() - began


def random_model(config: GPTConfig, device: torch.device) -> GPTModel:
    """Return a model with random weights, made on the device."""
    with torch.device("meta"):
        model = GPTModel(config)
    model.to_empty(device=device)
    random = torch.Generator(device).manual_seed(123)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if name.endswith("scale") else 0.0, 0.02, generator=random)
    return model


def read_results(folder: Path, stage: str) -> dict[str, Any]:
    """Return the results of a stage, none if it has not run."""
    path = folder / f"{stage}.json"
    return json.loads(path.read_text()) if path.exists() else {}

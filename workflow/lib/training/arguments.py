"""The three arguments of `finetune`: files, recipe, and how it is computed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import tiktoken
import torch

from workflow.lib.parallel.world import SINGLE_PROCESS, World
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.prompt_style import PromptStyle

Sharding = Literal["auto", "none", "full"]


@dataclass(frozen=True)
class Inputs:
    """Files that finetuning reads: converted weights, tokens of two splits, validation entries."""

    weights: Path
    train: Path
    val: Path
    val_entries: Path


@dataclass(frozen=True)
class Outputs:
    """Files that finetuning writes.

    Args:
        model: the state dict, as the chapter's torch.save.
        losses: CSV, the fields of `Losses` as columns, a row for each evaluation.
        samples: JSON list of responses to the first validation entry, before and after each epoch.
        training: JSON record of settings, versions, digests, speed, memory and initial losses.
        adapter: safetensors of the adapters, of a recipe with training.lora.
    """

    model: Path
    losses: Path
    samples: Path
    training: Path
    adapter: Path | None = None


class FinetuneFiles(NamedTuple):
    """Files that finetuning reads and writes."""

    inputs: Inputs
    outputs: Outputs


@dataclass(frozen=True)
class FinetuneRecipe:
    """What is learned and how: all that a result depends on, apart from files and precision."""

    tokenizer: tiktoken.Encoding
    style: PromptStyle
    training: Training
    evaluation: Evaluation


@dataclass(frozen=True)
class Compute:
    """How a finetuning is computed.

    Args:
        device: of this process.
        world: the processes that finetune together, each of which calls `finetune`.
        settings: precision, steps between checkpoints, and whether the faster computations are on.
        sharding: whether the processes divide the weights among them (parallel/distributed.py).
        code: digest of the code that runs; a checkpoint of other code is not continued.
    """

    device: torch.device
    world: World = SINGLE_PROCESS
    settings: Computing = field(default_factory=Computing)
    sharding: Sharding = "none"
    code: str = ""

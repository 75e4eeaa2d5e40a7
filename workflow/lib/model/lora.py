"""Low-rank adapters: what is learned is a small addition to every matrix (exercise 7.4).

A linear layer that computes W x + b goes on doing so, and adds (alpha / rank) B A x. W and b are
frozen: they have no gradients and no optimizer state. B starts at zero, so the model starts as the
base model; afterwards (alpha / rank) B A can be added to W, which leaves a plain model.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import linear

from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.weights import load_trainable, trainable_state
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing
from workflow.lib.settings.recipe import Lora

Layer = TypeVar("Layer", bound=nn.Module)


class LoraLinear(nn.Module):
    """A linear layer with an adapter.

    Args:
        layer: from (..., in) to (..., out).
        settings: rank R, and what the addition is multiplied by.
        random: draws A.
    """

    def __init__(self, layer: nn.Linear, settings: Lora, random: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.scale = settings.alpha / settings.rank
        self.A = nn.Parameter(layer.weight.new_empty(settings.rank, layer.in_features))
        self.B = nn.Parameter(layer.weight.new_zeros(layer.out_features, settings.rank))
        # Kaiming's fan is the number of columns: of A, or of A as the exercise lays it out.
        drawn = self.A if settings.fan == "inputs" else self.A.T
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=random)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.scale * linear(x, self.A)  # (..., R)
        return self.layer(x) + linear(reduced, self.B)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer, its weights changed in place so that it alone computes the same.

        The product is made on the CPU, which is exact however a GPU's precision is set.
        """
        addition = self.B.cpu() @ self.A.cpu()
        self.layer.weight.add_(addition.to(self.layer.weight.device), alpha=self.scale)
        return self.layer


def add_adapters(model: GPTModel, settings: Lora, seed: int) -> None:
    """Freeze a model and give every linear layer an adapter: attention, feed-forward, output head.

    Args:
        model: on the CPU, changed in place.
        seed: of the adapters; torch's own generator, which shuffles, is left alone.
    """
    random = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for name, layer in _layers(model, nn.Linear):
        model.set_submodule(name, LoraLinear(layer, settings, random))


def merge_adapters(model: GPTModel) -> None:
    """Turn a model with adapters into a plain one that computes the same, layer by layer."""
    for name, layer in _layers(model, LoraLinear):
        model.set_submodule(name, layer.merged())
    model.requires_grad_(True)


def save_adapters(model: GPTModel, settings: Lora, base: str, path: Path) -> None:
    """Store the adapters alone as safetensors: `{layer}.A` (R, in) and `{layer}.B` (out, R).

    Args:
        base: SHA-256 of the converted weights they belong to; in the file's metadata, as are rank,
            alpha and the model's shape.
    """
    tensors = {name: tensor.contiguous() for name, tensor in trainable_state(model).items()}
    metadata = {
        "rank": str(settings.rank),
        "alpha": str(settings.alpha),
        "base_sha256": base,
        "config": json.dumps(asdict(model.config)),
    }
    with replacing(path) as unfinished:
        unfinished.write_bytes(save(tensors, metadata))


def load_adapters(model: GPTModel, base: str, path: Path) -> None:
    """Give a base model the adapters that `save_adapters` stored.

    Args:
        model: on the CPU, changed in place.
        base: SHA-256 of the file that the model was read from.

    Raises:
        UserError: the file is damaged, or belongs to another base.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); run finetune again") from error
    if not metadata or metadata.get("base_sha256") != base:
        raise UserError(
            f"{path}: not adapters of these weights; take the base they were trained on"
        )
    settings = Lora(rank=int(metadata["rank"]), alpha=float(metadata["alpha"]))
    add_adapters(model, settings, seed=0)
    load_trainable(model, tensors)


def _layers(model: GPTModel, kind: type[Layer]) -> list[tuple[str, Layer]]:
    """Names and layers of that kind."""
    return [(name, part) for name, part in model.named_modules() if isinstance(part, kind)]

"""Low-rank adapters (LoRA): training learns a small addition to every matrix (exercise 7.4).

A linear layer computes W x + b + (alpha / rank) B A x instead of W x + b. W and b are frozen: they
have no gradients and no optimizer state. B starts at zero, so that the model starts as the base
model; afterwards (alpha / rank) B A can be added to W, which leaves a plain model.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import linear

from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.weights import trainable_state
from workflow.lib.runtime.files import replacing
from workflow.lib.settings.recipe import Lora

Layer = TypeVar("Layer", bound=nn.Module)


class LoraLinear(nn.Module):
    """A linear layer with an adapter.

    Args:
        layer: from (..., in) to (..., out).
        settings: rank R and alpha.
        random: draws A.
    """

    def __init__(self, layer: nn.Linear, settings: Lora, random: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.scale = settings.alpha / settings.rank
        self.A = nn.Parameter(layer.weight.new_empty(settings.rank, layer.in_features))
        self.B = nn.Parameter(layer.weight.new_zeros(layer.out_features, settings.rank))
        # Kaiming's fan is the number of columns: of A, or of its transpose, as the exercise has it.
        drawn = self.A if settings.fan == "inputs" else self.A.T
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=random)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.scale * linear(x, self.A)  # (..., R)
        return self.layer(x) + linear(reduced, self.B)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return the layer with the adapter added to its weights, which changes them in place.

        The product is computed on the CPU, exactly, whatever precision a GPU is set to.
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
    """Replace adapters by plain layers that compute the same, one by one."""
    for name, layer in _layers(model, LoraLinear):
        model.set_submodule(name, layer.merged())
    model.requires_grad_(True)


def save_adapters(model: GPTModel, settings: Lora, base: str, path: Path) -> None:
    """Store the adapters alone as safetensors: `{layer}.A` (R, in) and `{layer}.B` (out, R).

    Args:
        base: SHA-256 of the converted weights they belong to; stored in the file's metadata, as are
            rank, alpha and the model's shape.
    """
    tensors = {name: tensor.contiguous() for name, tensor in trainable_state(model).items()}
    metadata = {
        "rank": str(settings.rank),
        "alpha": str(settings.alpha),
        "base_sha256": base,
        "config": json.dumps(asdict(model.config)),
    }
    with replacing(path, recorded=True) as unfinished:
        unfinished.write_bytes(save(tensors, metadata))


def _layers(model: GPTModel, kind: type[Layer]) -> list[tuple[str, Layer]]:
    """Return names and layers of a kind."""
    return [(name, part) for name, part in model.named_modules() if isinstance(part, kind)]

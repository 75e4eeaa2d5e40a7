"""Loading and saving weights: the converted base model, and the chapter's .pth."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.overrides import TorchFunctionMode

from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.record import read_model
from workflow.lib.runtime.digests import check_digest, check_sums
from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.files import replacing


def load_base_model(path: Path, drop_rate: float = 0.0) -> GPTModel:
    """Load the model before finetuning, on the CPU.

    Args:
        path: the file of `save_base_model`; without an output head in it, the head is a copy of
            the token embedding.
        drop_rate: dropout rate of the model.

    Raises:
        UserError: the file is damaged.
    """
    check_digest(path)
    with path.open("rb"):  # safetensors says of a file without permission that there is none
        pass
    try:
        with safe_open(path, framework="pt") as stored:
            config = GPTConfig(**json.loads(stored.metadata()["config"]), drop_rate=drop_rate)
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run again") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: lacks the model's shape; delete it and run again") from error
    try:
        if "out_head.weight" not in state:
            state["out_head.weight"] = state["tok_emb.weight"].clone()
        return _with_weights(config, state)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not the weights of this model ({first_line(error)}); delete it and run again"
        ) from error


def save_model(model: GPTModel, path: Path) -> None:
    """Save the state dict as the chapter does (end of section 7.7).

    The chapter's own class also expects causal masks; all layers share one stored tensor. Those of
    a GPU are stored as a CPU's, so that torch.load also reads them where there is no GPU.
    """
    state = model.state_dict()
    state |= {name: weight.cpu() for name, weight in state.items()}
    length = model.config.context_length
    mask = torch.triu(torch.ones(length, length), diagonal=1)
    state |= {f"trf_blocks.{layer}.att.mask": mask for layer in range(model.config.n_layers)}
    write_tensors(state, path)


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write a file for torch.load, atomically and safe from a power cut.

    Raises:
        OSError, KeyboardInterrupt: a full disk, Ctrl-C; torch reports both as a RuntimeError about
            its file format.
    """
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError | KeyboardInterrupt):
                raise error.__context__ from None
            raise
        os.fsync(file.fileno())


def read_tensors(path: Path, mmap: bool = False) -> Any:
    """Read a file of `write_tensors`, on the CPU.

    Args:
        mmap: whether to map the file into memory instead of copying its tensors.

    Raises:
        UserError: the file is damaged.
    """
    check_sums(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler has no class of its own for what it may meet
        raise UserError(
            f"{path}: damaged ({first_line(error)}); delete it and run again"
        ) from error


def trainable_state(model: GPTModel) -> dict[str, torch.Tensor]:
    """Return the weights that training changes: all, or only LoRA's adapters."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def load_trainable(model: GPTModel, state: dict[str, torch.Tensor]) -> None:
    """Load a state of `trainable_state`; frozen weights stay."""
    model.load_state_dict(model.state_dict() | state)


def load_trained_model(path: Path, training: Path) -> GPTModel:
    """Load a finetuned model, on the CPU.

    Args:
        path: a state dict, of this pipeline or of the chapter.
        training: training.json; its `model` holds the configuration, which a state dict lacks.

    Raises:
        UserError: the file is damaged or the weights have another shape.
    """
    model = read_model(training)
    state = read_tensors(path)
    try:
        return _with_weights(GPTConfig(**model), state)
    except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: not the weights of this model ({first_line(error)}); delete it and run again"
        ) from error


def shapes_of(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a model, by name."""
    return {name: tuple(weight.shape) for name, weight in _empty(config).state_dict().items()}


def _with_weights(config: GPTConfig, state: dict[str, torch.Tensor]) -> GPTModel:
    """Return a model with these tensors as its weights, without allocating others first."""
    model = _empty(config)
    kinds = {name: weight.dtype for name, weight in model.named_parameters()}
    model.load_state_dict(state, assign=True)
    for name, weight in model.named_parameters():
        if weight.dtype != kinds[name]:
            raise ValueError(f"{name} is {weight.dtype}, should be {kinds[name]}")
    if odd := not_finite(state):
        raise ValueError(f"{odd} holds NaN or infinity")
    return model.requires_grad_(True)


def _empty(config: GPTConfig) -> GPTModel:
    """Return a model whose weights have shapes and no memory."""
    with torch.device("meta"), _NoInitialization():
        return GPTModel(config)


def not_finite(weights: dict[str, torch.Tensor]) -> str | None:
    """Return the name of a tensor that holds NaN or infinity, None if there is none.

    A sum shows it, and takes a thirtieth of the time of `isfinite`.
    """
    return next((name for name, w in weights.items() if not w.sum().isfinite()), None)


class _NoInitialization(TorchFunctionMode):
    """Skips torch.nn.init: on the meta device it would import torch's compiler."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"]
        return function(*args, **kwargs)

"""Base models from Hugging Face's GPT-2, from a .pth file of the chapter and from a variant.

Names and shapes are checked as strictly as those of OpenAI's checkpoint.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.layouts import (
    chapter_tensors,
    check_hyperparameters,
    check_shapes,
    expected_shapes,
    save_base_model,
)
from workflow.lib.model.record import read_model
from workflow.lib.model.weights import not_finite, shapes_of
from workflow.lib.runtime.digests import check_digest, check_sums
from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.files import read_json
from workflow.lib.settings.sources import ModelFormat

# What transformers takes for a key that config.json lacks, and the values that this model computes.
_SHAPE = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
}  # fmt: skip
_COMPUTED: dict[str, tuple[Any, ...]] = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),  # three names of one
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
# What torch and safetensors raise for damaged files.
_UNREADABLE = (SafetensorError, RuntimeError, UnpicklingError, EOFError, OSError, LookupError,
               ValueError, AttributeError, TypeError)  # fmt: skip
# Constants that older files hold as well: causal masks, and the value of masked scores.
_CONSTANTS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)|trf_blocks\.\d+\.att\.mask")


def import_weights(
    form: ModelFormat, files: Sequence[Path], n_heads: int | None, output: Path
) -> None:
    """Convert the weights of a base model to what `load_base_model` reads.

    Args:
        form: huggingface, chapter or variant.
        files: as `model_source` names them.
        n_heads: attention heads of the format chapter.
        output: the safetensors file to write.

    Raises:
        UserError: a file is damaged, the model is another than GPT-2, or a tensor is missing,
            unexpected or of a wrong shape; names it.
    """
    [weights] = [path for path in files if path.suffix != ".json"]
    described = next((path for path in files if path.suffix == ".json"), weights)
    stored = _read_tensors(weights)
    if form == "huggingface":
        tensors, config = _from_huggingface(weights, stored, described)
    else:
        config = _trained(described) if form == "variant" else _measured(weights, stored, n_heads)
        expected = shapes_of(config)
        check_shapes(f"{weights} does not match {described}", _shapes(stored), expected)
        tensors = {name: np.ascontiguousarray(stored[name].numpy()) for name in expected}
    save_base_model(tensors, _without_drop_rate(config), output)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file as float32, without constants; nothing in it is executed."""
    check_digest(path)
    if is_zipfile(path):  # torch does not check the sums itself
        check_sums(path)
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        with path.open("rb") as file:
            pointer = file.read(12) == b"version http"
        reason = "a pointer of Git LFS, not the file" if pointer else first_line(error)
        raise UserError(f"{path}: no weights that can be read: {reason[:200]}") from error
    if isinstance(content, dict) and isinstance(content.get("model_state_dict"), dict):
        content = content["model_state_dict"]  # the chapter saves it so beside the optimizer's
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise UserError(f"{path}: should hold a state dict: tensors by name, and nothing else")
    tensors = {}
    for name, tensor in content.items():
        if _CONSTANTS.fullmatch(str(name).removeprefix("transformer.")):
            continue
        if not tensor.is_floating_point():
            raise UserError(f"{path}: {name} is of type {tensor.dtype}; floats were expected")
        tensors[str(name)] = tensor.float()
    if odd := not_finite(tensors):
        raise UserError(f"{path}: {odd} holds NaN or infinity")
    return tensors


def _from_huggingface(
    path: Path, stored: dict[str, Tensor], described: Path
) -> tuple[dict[str, Any], GPTConfig]:
    """Return the weights of transformers' GPT-2 under the chapter's names, and their shape."""
    content = _read_config(described)
    values = {key: content.get(key, default) for key, default in _SHAPE.items()}
    names = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")
    shape = check_hyperparameters(described, dict(zip(names, values.values(), strict=True)))
    if content.get("n_inner") not in (None, 4 * shape.n_embd):
        raise UserError(
            f"{described}: n_inner is {content['n_inner']}; only 4 x n_embd is computed"
        )
    named = {name.removeprefix("transformer."): tensor for name, tensor in stored.items()}
    if len(named) < len(stored):
        raise UserError(f"{path}: holds tensors twice, with and without `transformer.`")
    theirs = {_as_theirs(name): name for name in expected_shapes(shape)}
    expected = {
        _as_theirs(name): size[1:] if len(size) == 3 else size
        for name, size in expected_shapes(shape).items()
    }
    tied = content.get("tie_word_embeddings", True)
    if not tied or "lm_head.weight" in named:
        expected["lm_head.weight"] = expected["wte.weight"]
    check_shapes(f"{path} does not match {described.name}", _shapes(named), expected)
    head = named.pop("lm_head.weight", None)
    if tied and head is not None and not torch.equal(head, named["wte.weight"]):
        raise UserError(
            f"{path}: lm_head.weight differs from wte.weight, but {described.name} ties them; set "
            "tie_word_embeddings there to false if the head is a matrix of its own"
        )
    variables = {
        theirs[name]: tensor.numpy()[None] if _is_dense(name) else tensor.numpy()
        for name, tensor in named.items()
    }
    tensors = chapter_tensors(variables)
    if not tied and head is not None:
        tensors["out_head.weight"] = np.ascontiguousarray(head.numpy())
    return tensors, GPTConfig(**shape.config)


def _read_config(path: Path) -> dict[str, Any]:
    """Read config.json and check that it describes a model that is computed here."""
    content = read_json(path)
    kind = content.get("model_type") if isinstance(content, dict) else None
    if kind != "gpt2":
        raise UserError(f"{path}: model_type is {kind!r}; only gpt2 can be finetuned here")
    for key, values in _COMPUTED.items():
        if content.get(key, values[0]) not in values:
            expected = " or ".join(map(str, values))
            raise UserError(f"{path}: {key} is {content[key]!r}; only {expected} is computed here")
    return content


def _as_theirs(name: str) -> str:
    """Return Hugging Face's name of one of OpenAI's variables: h.0.attn.c_attn.weight."""
    name = re.sub(r"^h(\d+)/", r"h.\1/", name.removeprefix("model/"))
    if name in ("wte", "wpe"):
        return f"{name}.weight"
    name, _, kind = name.rpartition("/")
    return f"{name}/{'bias' if kind == 'b' else 'weight'}".replace("/", ".")


def _is_dense(name: str) -> bool:
    """Return whether a tensor is the matrix of a dense layer, (in, out)."""
    return name.endswith((".attn.c_attn.weight", ".c_proj.weight", ".mlp.c_fc.weight"))


def _measured(path: Path, stored: Mapping[str, Tensor], n_heads: int | None) -> GPTConfig:
    """Return the shape of a chapter's state dict, as its tensors have it."""
    for name in ("tok_emb.weight", "pos_emb.weight"):
        if name not in stored or stored[name].dim() != 2:
            raise UserError(
                f"{path}: {name} is missing or no matrix; the chapter's GPTModel has it"
            )
    vocab_size, emb_dim = stored["tok_emb.weight"].shape
    layers = {int(n) for name in stored if (n := name.removeprefix("trf_blocks.").split(".")[0])
              .isdecimal()}  # fmt: skip
    if not n_heads or emb_dim % n_heads:
        raise UserError(f"{path}: n_heads {n_heads} does not divide the width {emb_dim}")
    return GPTConfig(
        vocab_size=vocab_size,
        context_length=len(stored["pos_emb.weight"]),
        emb_dim=emb_dim,
        n_heads=n_heads,
        n_layers=len(layers),
        qkv_bias="trf_blocks.0.att.W_query.bias" in stored,
    )


def _trained(path: Path) -> GPTConfig:
    """Return the shape that training.json of a variant records."""
    try:
        return GPTConfig(**read_model(path))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: model: {first_line(error)}") from error


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _without_drop_rate(config: GPTConfig) -> dict[str, Any]:
    shape = asdict(config)
    del shape["drop_rate"]
    return shape

"""OpenAI's names and shapes of GPT-2's weights, the chapter's names, and the file they become."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import save_file

from workflow.lib.data.entries import first_few
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.log import log


class Hyperparameters(BaseModel):
    """hparams.json: the shape of the model, under OpenAI's names."""

    model_config = ConfigDict(strict=True)

    n_vocab: int = Field(gt=0)
    n_ctx: int = Field(gt=0)
    n_embd: int = Field(gt=0)
    n_head: int = Field(gt=0)
    n_layer: int = Field(gt=0)

    @property
    def config(self) -> dict[str, Any]:
        """The same under the names of the chapter's GPTConfig."""
        return {
            "vocab_size": self.n_vocab,
            "context_length": self.n_ctx,
            "emb_dim": self.n_embd,
            "n_heads": self.n_head,
            "n_layers": self.n_layer,
        }


def check_hyperparameters(path: Path, content: Any) -> Hyperparameters:
    """Return the shape of a model that a file describes.

    Args:
        path: the file, for messages.
        content: the five numbers by name, unchecked.

    Raises:
        UserError: one is missing or no number, or the heads do not divide the width.
    """
    try:
        shape = Hyperparameters.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{path}: {faults}") from error
    if shape.n_embd % shape.n_head:
        raise UserError(f"{path}: n_embd {shape.n_embd} is not a multiple of n_head {shape.n_head}")
    return shape


def expected_shapes(shape: Hyperparameters) -> dict[str, tuple[int, ...]]:
    """Return the shape of every variable; weights of dense layers are (1, in, out)."""
    width = shape.n_embd
    expected = {
        "model/wte": (shape.n_vocab, width),
        "model/wpe": (shape.n_ctx, width),
        "model/ln_f/g": (width,),
        "model/ln_f/b": (width,),
    }
    for layer in range(shape.n_layer):
        block = f"model/h{layer}"
        for norm in ("ln_1", "ln_2"):
            expected[f"{block}/{norm}/g"] = expected[f"{block}/{norm}/b"] = (width,)
        for dense, inputs, outputs in (
            ("attn/c_attn", width, 3 * width),
            ("attn/c_proj", width, width),
            ("mlp/c_fc", width, 4 * width),
            ("mlp/c_proj", 4 * width, width),
        ):
            expected[f"{block}/{dense}/w"] = (1, inputs, outputs)
            expected[f"{block}/{dense}/b"] = (outputs,)
    return expected


def check_shapes(
    refusal: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Compare the names and shapes of weights with those of the model.

    Args:
        refusal: the begin of the message.

    Raises:
        UserError: weights are missing, unexpected or of another shape; names the first of them.
    """
    faults = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    faults += [f"{name} is unexpected" for name in sorted(found.keys() - expected.keys())]
    faults += [
        f"{name} has shape {found[name]}, expected {expected[name]}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    if faults:
        raise UserError(f"{refusal}: {first_few(faults)}")


def chapter_tensors(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return OpenAI's variables, by name, as the chapter's float32 parameters."""
    return {
        key: np.ascontiguousarray(tensor, dtype=np.float32)
        for name, variable in variables.items()
        for key, tensor in _as_chapter_names(name, variable)
    }


def save_base_model(
    tensors: dict[str, np.ndarray], config: Mapping[str, Any], output: Path
) -> None:
    """Write what `load_base_model` reads.

    Args:
        tensors: under the chapter's names; without an output head, the head starts as a copy of
            the token embedding.
        config: the GPTConfig without `drop_rate`, which a recipe chooses; stored as JSON in the
            file's metadata.
    """
    with replacing(output, recorded=True) as unfinished:
        save_file(tensors, unfinished, metadata={"config": json.dumps(config)})
    parameters = sum(tensor.size for tensor in tensors.values())
    log.info("%s: %d tensors, %d parameters", output, len(tensors), parameters)


def _as_chapter_names(name: str, variable: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return the chapter's parameters in one variable; its Linear weights are (out, in)."""
    direct = {
        "model/wte": "tok_emb.weight",
        "model/wpe": "pos_emb.weight",
        "model/ln_f/g": "final_norm.scale",
        "model/ln_f/b": "final_norm.shift",
    }
    if name in direct:
        return [(direct[name], variable)]
    _, block, part, *rest = name.split("/")  # model/h0/attn/c_attn/w or model/h0/ln_1/g
    prefix = f"trf_blocks.{block.removeprefix('h')}"
    if part in ("ln_1", "ln_2"):
        kind = {"g": "scale", "b": "shift"}[rest[0]]
        return [(f"{prefix}.norm{part[-1]}.{kind}", variable)]
    dense, kind = f"{part}/{rest[0]}", {"w": "weight", "b": "bias"}[rest[1]]
    if kind == "weight":
        variable = variable[0].T  # (1, in, out) -> (out, in)
    if dense == "attn/c_attn":
        thirds = np.split(variable, 3)
        names = ("W_query", "W_key", "W_value")
        return [(f"{prefix}.att.{n}.{kind}", t) for n, t in zip(names, thirds, strict=True)]
    layer = {
        "attn/c_proj": "att.out_proj",
        "mlp/c_fc": "ff.layers.0",
        "mlp/c_proj": "ff.layers.2",
    }[dense]
    return [(f"{prefix}.{layer}.{kind}", variable)]

"""Conversion of OpenAI's TensorFlow checkpoint to safetensors (section 7.5).

It does the work of chapter 5's load_weights_into_gpt by name, with every shape checked. The
converted file has the chapter's names, and reading it needs no tensorflow.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import save_file

from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.files import read_json, replacing
from workflow.lib.runtime.log import log


class Hyperparameters(BaseModel):
    """hparams.json: the shape of the model, under OpenAI's names."""

    model_config = ConfigDict(strict=True)

    n_vocab: int = Field(gt=0)
    n_ctx: int = Field(gt=0)
    n_embd: int = Field(gt=0)
    n_head: int = Field(gt=0)
    n_layer: int = Field(gt=0)


def convert_checkpoint(folder: Path, output: Path) -> None:
    """Convert a checkpoint of any size and precision to float32 safetensors.

    Args:
        folder: contains the seven files of OpenAI's layout.
        output: the file to write; its metadata `config` is the model's GPTConfig as JSON. It has
            no output head, which starts as a copy of the token embedding.

    Raises:
        UserError: a file is damaged, or a variable is missing, unexpected or of a wrong shape.
    """
    shape = _read_hyperparameters(folder / "hparams.json")
    variables = _read_variables(folder, shape)
    tensors = {}
    for name, variable in variables.items():
        for key, tensor in _as_chapter_names(name, variable):
            tensors[key] = np.ascontiguousarray(tensor, dtype=np.float32)
    config = {
        "vocab_size": shape.n_vocab,
        "context_length": shape.n_ctx,
        "emb_dim": shape.n_embd,
        "n_heads": shape.n_head,
        "n_layers": shape.n_layer,
    }
    with replacing(output, recorded=True) as unfinished:
        save_file(tensors, unfinished, metadata={"config": json.dumps(config)})
    parameters = sum(tensor.size for tensor in tensors.values())
    log.info("%s: %d variables, %d parameters", folder, len(variables), parameters)


def import_tensorflow() -> ModuleType:
    """Import tensorflow without its start-up messages.

    Some come from native code before the log level applies; hence the redirected standard error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault(
        "TF_USE_LEGACY_KERAS", "1"
    )  # defers the import of Keras, which is never used
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    return tensorflow


def _read_hyperparameters(path: Path) -> Hyperparameters:
    try:
        shape = Hyperparameters.model_validate(read_json(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{path}: {faults}") from error
    if shape.n_embd % shape.n_head:
        raise UserError(f"{path}: n_embd {shape.n_embd} is not a multiple of n_head {shape.n_head}")
    return shape


def _expected_shapes(shape: Hyperparameters) -> dict[str, tuple[int, ...]]:
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


def _read_variables(folder: Path, shape: Hyperparameters) -> dict[str, np.ndarray]:
    """Read all variables, after comparing their names and shapes with hparams.json."""
    tf = import_tensorflow()
    expected = _expected_shapes(shape)
    prefix = folder / "model.ckpt"
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        found = {n: tuple(s) for n, s in reader.get_variable_to_shape_map().items()}
        faults = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
        faults += [f"{name} is unexpected" for name in sorted(found.keys() - expected.keys())]
        faults += [
            f"{name} has shape {found[name]}, expected {expected[name]}"
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ]
        if faults:
            more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise UserError(f"{prefix} does not match hparams.json: {'; '.join(faults[:3])}{more}")
        return {name: reader.get_tensor(name) for name in expected}
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise UserError(
            f"{prefix}: damaged or truncated ({first_line(error)[:200]}); delete {folder} "
            "and resources/downloads to download it again"
        ) from error


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

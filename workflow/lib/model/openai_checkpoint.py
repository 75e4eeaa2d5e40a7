"""Conversion of OpenAI's TensorFlow checkpoint to safetensors (section 7.5).

It does the work of chapter 5's load_weights_into_gpt by name, with every shape checked. The
converted file has the chapter's names, and reading it needs no tensorflow.
"""

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from workflow.lib.model.layouts import (
    Hyperparameters,
    chapter_tensors,
    check_hyperparameters,
    check_shapes,
    expected_shapes,
    save_base_model,
)
from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.files import read_json


def convert_checkpoint(folder: Path, output: Path) -> None:
    """Convert a checkpoint of any size and precision to float32 safetensors.

    Args:
        folder: contains the seven files of OpenAI's layout.
        output: the file to write; its metadata `config` is the model's GPTConfig as JSON. It has
            no output head, which starts as a copy of the token embedding.

    Raises:
        UserError: a file is damaged, or a variable is missing, unexpected or of a wrong shape.
    """
    path = folder / "hparams.json"
    shape = check_hyperparameters(path, read_json(path))
    save_base_model(chapter_tensors(_read_variables(folder, shape)), shape.config, output)


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


def _read_variables(folder: Path, shape: Hyperparameters) -> dict[str, np.ndarray]:
    """Read all variables, after comparing their names and shapes with hparams.json."""
    tf = import_tensorflow()
    expected = expected_shapes(shape)
    prefix = folder / "model.ckpt"
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        found = {n: tuple(s) for n, s in reader.get_variable_to_shape_map().items()}
        check_shapes(f"{prefix} does not match hparams.json", found, expected)
        return {name: reader.get_tensor(name) for name in expected}
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise UserError(
            f"{prefix}: damaged or truncated ({first_line(error)[:200]}); delete {folder} "
            "and resources/downloads to download it again"
        ) from error

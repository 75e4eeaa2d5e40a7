"""A checkpoint of OpenAI's layout with random weights: real TensorFlow files, small shape."""

import shutil
from pathlib import Path

from tests.support.models import random_model
from workflow.lib.model.gpt import GPTConfig
from workflow.small_world.openai_writer import write_tf_checkpoint


def make_checkpoint(folder: Path, tokenizer: Path, config: GPTConfig, seed: int = 0) -> Path:
    """Write the seven files.

    Args:
        folder: made if missing.
        tokenizer: folder whose encoder.json and vocab.bpe are copied.
        config: shape of the model.
        seed: of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = random_model(seed, config)
    model.out_head.weight = model.tok_emb.weight  # the layout holds one matrix for both
    write_tf_checkpoint(folder, model, dtype="float32")
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(tokenizer / name, folder / name)
    return folder

"""A pretrained base model saved in the files that OpenAI published for GPT-2."""

import shutil
from pathlib import Path
from typing import Any

import torch

from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.small_world.bpe import fast_tokenizer
from workflow.small_world.openai_writer import write_tf_checkpoint


def ship_base_model(
    weights: Path, tokenizer_folder: Path, shape: dict[str, Any], folder: Path
) -> None:
    """Write the seven files of one base model, with weights in half precision.

    Args:
        weights: a state dict that `pretrain_base_model` saved.
        tokenizer_folder: holds encoder.json and vocab.bpe, to copy.
        shape: the fields of GPTConfig without vocab_size.
        folder: made if it does not exist.
    """
    vocab_size = fast_tokenizer(tokenizer_folder).get_vocab_size()
    model = GPTModel(GPTConfig(vocab_size=vocab_size, **shape))
    model.load_state_dict(torch.load(weights, weights_only=True))
    write_tf_checkpoint(folder, model)
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(tokenizer_folder / name, folder / name)

"""The shape of a model, read without torch: from a file, or known by the name of its size."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.lib.model.record import read_model
from workflow.lib.runtime.errors import UserError

# The files of OpenAI's checkpoints, and of the small world's models.
CHECKPOINT_FILES = (
    "checkpoint",
    "encoder.json",
    "hparams.json",
    "model.ckpt.data-00000-of-00001",
    "model.ckpt.index",
    "model.ckpt.meta",
    "vocab.bpe",
)

# The fields of Shape in OpenAI's file and in Hugging Face's.
_DESCRIBED = {
    "hparams.json": ("n_vocab", "n_ctx", "n_embd", "n_layer"),
    "config.json": ("vocab_size", "n_positions", "n_embd", "n_layer"),
}
# Limits of generation; a cluster job's memory is estimated from them.
CACHE_BYTES = 3 * 2**30  # the most bytes of the key-value cache on a CPU
PROMPT_TOKENS = 4096  # the most tokens of prompts in one forward pass


@dataclass(frozen=True)
class Shape:
    """The part of GPTConfig that determines the size of a model."""

    vocab_size: int
    context_length: int
    emb_dim: int
    n_layers: int

    @property
    def parameters(self) -> int:
        """The number of weights that are finetuned, including an untied output head."""
        width = self.emb_dim
        block = 12 * width**2 + 13 * width
        return (2 * self.vocab_size + self.context_length + 2) * width + self.n_layers * block

    def adapter_parameters(self, rank: int) -> int:
        """Return the number of LoRA's weights on all linear layers: rank x (in + out) each."""
        width = self.emb_dim
        return rank * (self.n_layers * 18 * width + width + self.vocab_size)

    @property
    def cache_bytes(self) -> int:
        """The bytes of keys and values of one position, in float32."""
        return 2 * 4 * self.n_layers * self.emb_dim


# OpenAI's four sizes, by the last part of their addresses.
GPT2 = {
    "124M": Shape(50257, 1024, 768, 12),
    "355M": Shape(50257, 1024, 1024, 24),
    "774M": Shape(50257, 1024, 1280, 36),
    "1558M": Shape(50257, 1024, 1600, 48),
}


def shape_of_source(url: str, downloaded: Path) -> Shape | None:
    """Return the shape of a base model that is not converted yet, or None if it is unknown.

    Args:
        url: its address or local folder.
        downloaded: folder that its files are downloaded to.
    """
    for folder in (downloaded, downloaded / "source", Path(url).expanduser()):
        for name, names in _DESCRIBED.items():
            try:
                found = json.loads((folder / name).read_text("utf-8"))
                return Shape(*(found[key] for key in names))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # the job that converts it reports the error
    return GPT2.get(url.rstrip("/").rpartition("/")[2])


def shape_of_weights(path: Path) -> Shape:
    """Read the shape from the header of a safetensors file: eight bytes of length, then JSON.

    Raises:
        FileNotFoundError: the file does not exist yet.
        UserError: it is damaged.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = min(int.from_bytes(file.read(8), "little"), size)
            head = json.loads(file.read(length))
        shape = _shape(json.loads(head.pop("__metadata__")["config"]))
        if size != 8 + length + max(tensor["data_offsets"][1] for tensor in head.values()):
            raise ValueError("its tensors do not end where the file ends")
        return shape
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: lacks the model's shape; delete it and run again") from error


def shape_of_run(path: Path) -> Shape:
    """Read the shape from training.json of a finetuned model; raises as `shape_of_weights`."""
    return _shape(read_model(path))


def _shape(config: dict[str, Any]) -> Shape:
    """Return the shape in a GPTConfig as a dict."""
    sizes = {name: config[name] for name in Shape.__dataclass_fields__}
    if not all(type(size) is int and size > 0 for size in sizes.values()):
        raise ValueError(f"no sizes: {sizes}")
    return Shape(**sizes)

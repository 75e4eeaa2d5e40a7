"""The shape of a model, as far as it is known without torch: from a file, or by a size's name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# OpenAI's layout of a checkpoint: what is downloaded, and what the small world ships.
CHECKPOINT_FILES = (
    "checkpoint",
    "encoder.json",
    "hparams.json",
    "model.ckpt.data-00000-of-00001",
    "model.ckpt.index",
    "model.ckpt.meta",
    "vocab.bpe",
)

# What generating may take: kept to where it computes, and asked of a cluster before.
CACHE_BYTES = 3 * 2**30  # the most that keys and values take on a CPU
PROMPT_TOKENS = 4096  # of prompts, read at a time


@dataclass(frozen=True)
class Shape:
    """What the size of a model follows from; the names are those of `model.GPTConfig`."""

    vocab_size: int
    context_length: int
    emb_dim: int
    n_layers: int

    @property
    def parameters(self) -> int:
        """All weights, an output head of its own included, as they are finetuned."""
        width = self.emb_dim
        block = 12 * width**2 + 13 * width
        return (2 * self.vocab_size + self.context_length + 2) * width + self.n_layers * block

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on every linear layer: rank x (in + out) each."""
        width = self.emb_dim
        return rank * (self.n_layers * 18 * width + width + self.vocab_size)

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one position."""
        return 2 * 4 * self.n_layers * self.emb_dim


# OpenAI's four, by the last part of their addresses.
GPT2 = {
    "124M": Shape(50257, 1024, 768, 12),
    "355M": Shape(50257, 1024, 1024, 24),
    "774M": Shape(50257, 1024, 1280, 36),
    "1558M": Shape(50257, 1024, 1600, 48),
}


def shape_of_source(url: str, downloaded: Path) -> Shape | None:
    """The shape of a checkpoint before it is converted, where it is known already.

    Args:
        url: where it comes from: an address or a local folder.
        downloaded: folder of its files, once they are there.
    """
    for folder in (downloaded, Path(url).expanduser()):
        try:
            found = json.loads((folder / "hparams.json").read_text("utf-8"))
            return Shape(found["n_vocab"], found["n_ctx"], found["n_embd"], found["n_layer"])
        except (OSError, ValueError, KeyError, TypeError):  # its own job says what is wrong
            continue
    return GPT2.get(url.rstrip("/").rpartition("/")[2])


def shape_of_weights(path: Path) -> Shape:
    """From the head of a converted base model: eight bytes of length, then JSON.

    Raises:
        FileNotFoundError: it is not there yet.
    """
    with path.open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return _shape(json.loads(head["__metadata__"]["config"]))


def shape_of_run(path: Path) -> Shape:
    """From training.json of a finetuned model; raises as `shape_of_weights`."""
    return _shape(json.loads(path.read_text("utf-8"))["model"])


def _shape(config: dict[str, Any]) -> Shape:
    """From a GPTConfig as plain values."""
    return Shape(**{name: config[name] for name in Shape.__dataclass_fields__})

"""training.json, the record of a finetuning, as the jobs after it read it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from workflow.lib.data.stored import OPEN, Positive, Stored, Whole, read_stored

SIZES = tuple(
    f"model.{size}" for size in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers")
)


class _Losses(Stored):
    train: float
    val: float


class _Model(Stored):
    vocab_size: Positive = OPEN
    context_length: Positive = OPEN
    emb_dim: Positive = OPEN
    n_heads: Positive = OPEN
    n_layers: Positive = OPEN
    drop_rate: float = Field(0.0, ge=0, le=1)
    qkv_bias: bool = True


class _Training(Stored):
    epochs: Whole = OPEN
    max_length: Positive = OPEN
    too_long: str = ""
    seed: Whole = OPEN


class _Evaluation(Stored):
    every: Positive


class _Record(Stored):
    """The keys that are read; each reader names those that it needs."""

    model: _Model = OPEN
    parameters: Positive = OPEN
    trainable_parameters: Whole = OPEN
    tokenizer: str = ""
    weights: str = ""
    style: dict[str, Any] = OPEN
    training: _Training = OPEN
    evaluation: _Evaluation = OPEN
    precision: str = ""
    device: str = ""
    versions: dict[str, str] = OPEN
    inputs: dict[str, str] = OPEN
    initial_losses: _Losses = OPEN
    steps: Whole = OPEN
    kept_step: Whole | None = None
    tokens_seen: Whole = OPEN
    too_long: dict[str, list[Whole]] = OPEN
    seconds: float = Field(OPEN, ge=0)
    tokens_per_second: float | None = None

    @model_validator(mode="after")
    def check_steps(self) -> Self:
        """Check that the keys of which one needs the other are there together."""
        if self.evaluation and self.steps is None:
            raise ValueError("lacks steps")
        return self


def read_training(path: Path, *needs: str) -> dict[str, Any]:
    """Read training.json.

    Args:
        needs: the keys that the reader uses; `a.b` for a key in a section.

    Raises:
        UserError: it is damaged or lacks a key.
    """
    return read_stored(path, _Record, needs)


def read_model(path: Path) -> dict[str, Any]:
    """Read the model's configuration from training.json.

    Raises:
        UserError: it is damaged or lacks a key.
    """
    model: dict[str, Any] = read_training(path, *SIZES)["model"]
    return model

"""The losses of one finetuning: losses.csv as numbers, and the curves of figure 7.17."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow.lib.runtime.files import read_csv


@dataclass(frozen=True)
class LossCurves:
    """Training and validation loss over epochs, with a second axis for the tokens seen.

    Args:
        epochs: end of the axis of epochs.
        tokens: ends of the axis of tokens.
        positions: epoch of each evaluation, spread evenly as in the chapter.
        losses: by split, `train` and `val`, a loss for each evaluation.
    """

    epochs: int
    tokens: tuple[int, int]
    positions: Sequence[float]
    losses: Mapping[str, Sequence[float]]

    @property
    def single(self) -> bool:
        """Whether there is one evaluation only, which needs a marker: a point draws no line."""
        return len(self.positions) == 1


def loss_curves(rows: Sequence[Mapping[str, float]], epochs: int) -> LossCurves:
    """Return the curves of figure 7.17.

    Args:
        rows: of losses.csv, at least one.
        epochs: number of epochs of the finetuning.
    """
    first = rows[0]["tokens_seen"] if len(rows) > 1 else 0
    return LossCurves(
        epochs,
        tokens=(int(first), int(rows[-1]["tokens_seen"])),
        positions=np.linspace(0, epochs, len(rows)).tolist(),
        losses={split: [row[f"{split}_loss"] for row in rows] for split in ("train", "val")},
    )


def read_losses(path: Path) -> list[dict[str, float]]:
    """Read losses.csv as numbers: step, epoch, tokens_seen, train_loss and val_loss."""
    return [{column: float(value) for column, value in row.items()} for row in read_csv(path)]

"""The losses of one finetuning: losses.csv as numbers, and the curves of figure 7.17."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workflow.lib.runtime.errors import UserError, first_line
from workflow.lib.runtime.tables import read_csv

_MOST = 2**53  # of a step, a loss or a number of tokens; more is damage
COLUMNS = ("step", "epoch", "tokens_seen", "train_loss", "val_loss")


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


def read_losses(path: Path, training: Mapping[str, Any] | None = None) -> list[dict[str, float]]:
    """Read losses.csv as numbers: step, epoch, tokens_seen, train_loss and val_loss.

    Args:
        training: content of training.json of the same finetuning, whose evaluations have a row
            each.

    Raises:
        UserError: a row is missing or repeated, or a value is not a number of its range.
    """
    rows = []
    for number, row in enumerate(read_csv(path, COLUMNS)):
        try:
            values = {column: float(value) for column, value in row.items()}
        except ValueError as error:
            raise UserError(
                f"{path}: row {number} has {first_line(error)}; delete it and run again"
            ) from error
        if not all(0 <= value < _MOST for value in values.values()):
            raise UserError(
                f"{path}: row {number} has a value that is not possible; delete it and run again"
            )
        rows.append(values)
    steps = [row["step"] for row in rows]
    if steps != sorted(set(steps)):
        raise UserError(f"{path}: its steps are not in order; delete it and run again")
    if training:
        _check_rows(path, steps, training)
    return rows


def _check_rows(path: Path, steps: Sequence[float], training: Mapping[str, Any]) -> None:
    """Check that there is a row for each evaluation, as far as the record tells."""
    epochs, evaluation = training["training"]["epochs"], training.get("evaluation")
    if bool(steps) != bool(epochs):
        raise UserError(f"{path}: {len(steps)} rows after {epochs} epochs; delete it and run again")
    if not evaluation:
        return
    if steps != (expected := list(range(0, training["steps"], evaluation["every"]))):
        raise UserError(
            f"{path}: {len(steps)} rows, should be {len(expected)}, one for every "
            f"{evaluation['every']} of {training['steps']} steps; delete it and run again"
        )

"""Sequences of different lengths as one batch (listing 7.5, exercise 7.2)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

IGNORE_INDEX = -100  # the target that cross_entropy ignores by default


def collate(
    sequences: Sequence[Sequence[int] | np.ndarray],
    end_of_text: int,
    max_length: int | None = None,
    response_starts: Sequence[int] | np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Pad a batch with end-of-text and shift it into inputs and targets.

    In each row of targets the first end-of-text stays, so that the model learns to stop; the
    others are padding and become IGNORE_INDEX::

        sequence   5     6
        inputs     5     6   eot   eot   eot
        targets    6   eot  -100  -100  -100

    Args:
        sequences: B lists of token ids.
        end_of_text: id of the end-of-text token.
        max_length: tokens to which rows are truncated, after padding; not truncated if None.
        response_starts: tokens of each prompt, if its targets are to become IGNORE_INDEX too.

    Returns:
        Inputs and targets, each (B, T) int64, with T the longest sequence or max_length.
    """
    longest = max(len(sequence) for sequence in sequences)
    padded = torch.full((len(sequences), longest + 1), end_of_text)  # (B, T + 1)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = torch.as_tensor(sequence)
    inputs, targets = padded[:, :-1].clone(), padded[:, 1:].clone()  # (B, T)
    is_end = targets == end_of_text
    targets[is_end & (is_end.cumsum(1) > 1)] = IGNORE_INDEX
    if response_starts is not None:
        for row, start in zip(targets, response_starts, strict=True):
            row[: max(0, int(start) - 1)] = IGNORE_INDEX
    return inputs[:, :max_length], targets[:, :max_length]

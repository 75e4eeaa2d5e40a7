"""Dataloaders: batches of a tokenized split to train on or to evaluate (listing 7.6)."""

from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import collate
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens


def read_split(
    path: Path, max_length: int, too_long: str = "truncate"
) -> tuple[TokenizedSplit, list[int]]:
    """Read a tokenized split and find the entries longer than max_length.

    Args:
        path: a file of `tokenize_split`.
        max_length: the most tokens of an entry.
        too_long: what to do with longer entries: truncate (left to `collate`), drop or raise.

    Returns:
        The split, and the numbers of the long entries, counted from 0 in the file.

    Raises:
        UserError: there are long entries and too_long is raise, or it is drop and all are long.
    """
    split = load_tokens(path)
    numbers = [n for n, ids in enumerate(split.sequences) if len(ids) > max_length]
    if not numbers:
        return split, []
    some = _some(numbers)
    if too_long == "raise":
        raise UserError(
            f"{path}: {len(numbers)} entries are longer than {max_length} tokens: {some}; shorten "
            "them, raise training.max_length or set training.too_long to drop or truncate"
        )
    done = "dropped, longer than" if too_long == "drop" else "truncated to"
    log.info("%s: %d entries %s %d tokens: %s", path, len(numbers), done, max_length, some)
    if too_long == "drop":
        if len(numbers) == len(split.sequences):
            raise UserError(f"{path}: all are longer than training.max_length; raise it")
        split = _without(split, numbers)
    return split, numbers


def drop_cut_before_response(
    split: TokenizedSplit, path: Path, max_length: int
) -> tuple[TokenizedSplit, list[int]]:
    """Drop the entries that are truncated before their response begins.

    With a masked prompt they would silently add nothing to the loss.

    Args:
        split: the tokenized split.
        path: its file, for messages.
        max_length: tokens to which rows are truncated.

    Returns:
        The other entries, and the numbers of those dropped, counted from 0 in the split.

    Raises:
        UserError: there are no other entries.
    """
    numbers = np.flatnonzero(split.response_starts > max_length).tolist()
    if not numbers:
        return split, []
    if len(numbers) == len(split.sequences):
        raise UserError(
            f"{path}: no prompt leaves room for a response in {max_length} tokens; raise "
            "training.max_length or set training.mask_prompt: false"
        )
    log.info(
        "%s: %d entries dropped, truncated before their responses at %d tokens: %s",
        path, len(numbers), max_length, _some(numbers),
    )  # fmt: skip
    return _without(split, numbers), numbers


def make_dataloader(
    split: TokenizedSplit, end_of_text: int, training: Training, max_length: int, shuffle: bool
) -> DataLoader[int]:
    """Make a dataloader; it draws its order and its base seed from torch's global generator.

    Args:
        split: token ids of the entries.
        end_of_text: the token that pads.
        training: batch size, and whether prompts are masked.
        max_length: tokens to which rows are truncated.
        shuffle: a new order in each pass, and full batches only, as for training.

    Returns:
        A dataloader of inputs and targets, each (B, T).
    """

    def collate_entries(numbers: list[int]) -> tuple[Tensor, Tensor]:
        starts = split.response_starts[numbers] if training.mask_prompt else None
        sequences = [split.sequences[number] for number in numbers]
        return collate(sequences, end_of_text, max_length, starts)

    numbers = cast("Dataset[int]", range(len(split.sequences)))  # torch takes any sequence
    return DataLoader(
        numbers,
        batch_size=training.batch_size,
        collate_fn=collate_entries,
        shuffle=shuffle,
        drop_last=shuffle,
    )


def _without(split: TokenizedSplit, numbers: list[int]) -> TokenizedSplit:
    kept = np.setdiff1d(np.arange(len(split.sequences)), numbers)
    return TokenizedSplit([split.sequences[n] for n in kept], split.response_starts[kept])


def _some(numbers: list[int]) -> str:
    """Name the first ten, for a message."""
    return ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")

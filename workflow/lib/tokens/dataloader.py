"""Tokenized entries as batches to train on, or to measure losses on (listing 7.6)."""

from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import collate
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens


def read_split(
    path: Path, max_length: int, too_long: str = "truncate"
) -> tuple[TokenizedSplit, list[int]]:
    """The tokens of a split, and which entries are longer than what is kept.

    Args:
        path: what `tokenize_split` wrote.
        max_length: most tokens of an entry.
        too_long: what becomes of longer ones: truncate (here or when batched), drop or raise.

    Returns:
        the split, and the numbers of the entries in question, counted from 0 in the file.

    Raises:
        UserError: there are such entries and too_long is raise, or no other entries.
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
    done = "left out for being longer than" if too_long == "drop" else "cut to"
    log.info("%s: %d entries %s %d tokens: %s", path, len(numbers), done, max_length, some)
    if too_long == "drop":
        if len(numbers) == len(split.sequences):
            raise UserError(f"{path}: no entry has at most training.max_length tokens; raise it")
        split = _without(split, numbers)
    return split, numbers


def leave_out_unanswered(
    split: TokenizedSplit, path: Path, max_length: int
) -> tuple[TokenizedSplit, list[int]]:
    """A split without the entries that a masked prompt leaves nothing to learn from.

    They are those whose prompt alone is longer than what is kept. In a batch they would count for
    nothing, unseen.

    Args:
        split: of that path.
        max_length: where rows are cut.

    Returns:
        the other entries, and the numbers of those left out, counted from 0 in the split.

    Raises:
        UserError: there are no others.
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
        "%s: %d entries left out, cut before their responses at %d tokens: %s",
        path, len(numbers), max_length, _some(numbers),
    )  # fmt: skip
    return _without(split, numbers), numbers


def make_loader(
    split: TokenizedSplit, end_of_text: int, training: Training, max_length: int, shuffle: bool
) -> DataLoader:
    """Batches of a split, drawn from torch's global generator.

    Args:
        split: token ids of the entries.
        end_of_text: what pads.
        training: batch size and masking.
        max_length: where rows are cut.
        shuffle: a new order each pass and whole batches only, as for training.

    Returns:
        a loader of inputs and targets, each (B, T).
    """

    def collate_entries(numbers: list[int]) -> tuple[Tensor, Tensor]:
        starts = split.response_starts[numbers] if training.mask_prompt else None
        sequences = [split.sequences[number] for number in numbers]
        return collate(sequences, end_of_text, max_length, starts)

    return DataLoader(
        range(len(split.sequences)),
        batch_size=training.batch_size,
        collate_fn=collate_entries,
        shuffle=shuffle,
        drop_last=shuffle,
    )


def _without(split: TokenizedSplit, numbers: list[int]) -> TokenizedSplit:
    kept = np.setdiff1d(np.arange(len(split.sequences)), numbers)
    return TokenizedSplit([split.sequences[n] for n in kept], split.response_starts[kept])


def _some(numbers: list[int]) -> str:
    """The first ten, for a message."""
    return ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")

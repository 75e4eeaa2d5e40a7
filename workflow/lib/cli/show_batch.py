"""A padded batch as training gets it: inputs, targets with -100, and their shapes (section 7.4)."""

from collections.abc import Iterator
from pathlib import Path
from shutil import get_terminal_size

import tiktoken
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.dataloader import drop_cut_before_response, make_dataloader, read_split

ALL = True  # stands for the shapes of all batches


def batch_lines(
    path: Path, tokenizer: tiktoken.Encoding, training: Training, number: int
) -> Iterator[str]:
    """Yield the lines to print of a batch of the first epoch, or of the shapes of all.

    Args:
        path: a tokenized split; the batches of train.npz are shuffled.
        training: batch size, seed, mask and length.
        number: of the batch, from 0, or ALL.

    Raises:
        UserError: there is no such batch.
    """
    batches = first_epoch(path, tokenizer, training)
    count = len(batches)
    order = f"shuffled by seed {training.seed}" if path.stem == "train" else "in file order"
    if number is ALL:
        yield f"{count} batches of {path}, {order}; inputs and targets:"
        for inputs, targets in batches:
            yield f"{inputs.shape} {targets.shape}"
        return
    if not 0 <= number < count:
        has = f"has batches 0 to {count - 1}" if count else "does not fill a batch"
        raise UserError(f"{path}: {has} of {training.batch_size} entries, not {number}")
    inputs, targets = next(batch for n, batch in enumerate(batches) if n == number)
    yield f"batch {number} of {count} of {path}, {order}; inputs and targets:"
    yield f"{inputs.shape} {targets.shape}"
    yield _as_text(inputs)
    yield _as_text(targets)


def first_epoch(path: Path, tokenizer: tiktoken.Encoding, training: Training) -> DataLoader[int]:
    """Return the loader of a split with torch's generator as it is when training begins."""
    split, _ = read_split(path, training.max_length, training.too_long)
    if training.mask_prompt:
        split, _ = drop_cut_before_response(split, path, training.max_length)
    torch.manual_seed(training.seed)
    shuffle = path.stem == "train"
    if shuffle and len(split.sequences) < training.batch_size:
        raise UserError(
            f"{path}: {len(split.sequences)} entries do not fill a batch of {training.batch_size}"
        )
    return make_dataloader(
        split, tokenizer.eot_token, training, training.max_length, shuffle=shuffle
    )


def _as_text(values: Tensor) -> str:
    """Return a tensor as torch prints it, no value left out."""
    torch.set_printoptions(profile="full", linewidth=get_terminal_size().columns)
    return str(values)

"""What can be told of OpenAI's files at once: that they are not a server's message instead."""

from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, read_text

_END_OF_INDEX = bytes.fromhex("57fb808b247547db")  # of every table that TensorFlow writes


def check_gpt2_file(path: Path) -> None:
    """Check that a file of a tokenizer or a checkpoint is what its name says.

    The conversion compares the sums of the weights themselves.

    Raises:
        UserError: it is not.
    """
    checks = {
        "checkpoint": ("a list of checkpoints", _is_list_of_checkpoints),
        "encoder.json": ("a table of numbers", _is_table_of_numbers),
        "hparams.json": ("a table of numbers", _is_table_of_numbers),
        "model.ckpt.data-00000-of-00001": ("numbers but text", _is_binary),
        "model.ckpt.index": ("an index of TensorFlow", _is_index),
        "vocab.bpe": ("a list of merges", _is_list_of_merges),
    }
    if path.name in checks:
        kind, is_right = checks[path.name]
        if not is_right(path):
            raise UserError(f"{path}: not {kind}")


def _is_table_of_numbers(path: Path) -> bool:
    content = read_json(path)
    numbers = content.values() if isinstance(content, dict) else ()
    return bool(numbers) and all(type(value) is int for value in numbers)


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(512).decode("utf-8", "replace")
    return any(not (c.isprintable() or c.isspace()) or c == "\ufffd" for c in start)


def _is_list_of_checkpoints(path: Path) -> bool:
    return read_text(path).lstrip().startswith("model_checkpoint_path:")


def _is_list_of_merges(path: Path) -> bool:
    first, *merges = read_text(path).rstrip("\n").split("\n")
    return bool(merges or first.startswith("#version")) and all(
        len(merge.split()) == 2 for merge in merges
    )


def _is_index(path: Path) -> bool:
    return path.read_bytes().endswith(_END_OF_INDEX)

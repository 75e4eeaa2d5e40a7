"""A split as token ids, stored once for every recipe that uses it (listing 7.4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workflow.lib.data.entries import read_entries
from workflow.lib.runtime.digests import check_digest
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.log import log
from workflow.lib.tokens.prompt_style import PromptStyle

if TYPE_CHECKING:  # a dry run reads token files, and tiktoken is slow to import
    import tiktoken


@dataclass(frozen=True)
class TokenizedSplit:
    """Token ids of the entries of a split: prompt, response header and output, no end-of-text.

    Args:
        sequences: an int32 array per entry.
        response_starts: for each, how many of its tokens belong entirely to the prompt.
    """

    sequences: list[np.ndarray]
    response_starts: np.ndarray


def tokenize_split(
    entries: Path, tokenizer: "tiktoken.Encoding", style: PromptStyle, output: Path
) -> None:
    """Tokenize a split into an .npz file: `token_ids`, `offsets` (n + 1), `response_starts` (n)."""
    loaded = read_entries(entries)
    prompts = [style.prompt(entry) for entry in loaded]
    texts = [prompt + style.completion(e) for prompt, e in zip(prompts, loaded, strict=True)]
    encoded = tokenizer.encode_ordinary_batch(texts, num_threads=2)
    token_bytes = _bytes_of_tokens(tokenizer)
    sequences = [np.array(ids, dtype=np.int32) for ids in encoded]
    response_starts = [
        response_start(token_bytes[ids], prompt)
        for ids, prompt in zip(sequences, prompts, strict=True)
    ]
    offsets = list(accumulate(map(len, sequences), initial=0))
    with replacing(output, recorded=True) as unfinished, unfinished.open("wb") as file:
        np.savez(
            file,
            token_ids=np.concatenate(sequences),
            offsets=np.array(offsets),
            response_starts=np.array(response_starts),
        )
    log.info("%s: %d entries, %d tokens", output, len(sequences), offsets[-1])


def load_tokens(path: Path) -> TokenizedSplit:
    """Read a file of `tokenize_split`.

    Raises:
        UserError: the file is damaged.
    """
    check_digest(path)
    lengths = load_lengths(path)
    with _opened(path) as stored:
        ids, starts = stored["token_ids"], stored["response_starts"]
        if ids.ndim != 1 or ids.dtype.kind != "i" or len(ids) != lengths.sum() or ids.min() < 0:
            raise ValueError("its token ids do not fit its offsets")
        if starts.dtype.kind != "i" or starts.shape != lengths.shape or starts.min() < 0:
            raise ValueError("its response starts do not fit its offsets")
        return TokenizedSplit(np.split(ids, lengths.cumsum()[:-1]), starts)


def load_lengths(path: Path) -> np.ndarray:
    """Read the number of tokens of each entry from a file of `tokenize_split`.

    Raises:
        UserError: the file is damaged.
    """
    with _opened(path) as stored:
        offsets = stored["offsets"]
        if offsets.ndim != 1 or offsets.dtype.kind != "i" or len(offsets) < 2 or offsets[0]:
            raise ValueError("its offsets are no places of entries")
        lengths: np.ndarray = np.diff(offsets)
        if lengths.min() < 1:
            raise ValueError("its offsets do not rise")
        return lengths


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open an .npz file; whatever it raises but a missing file or memory is a damage."""
    try:
        with np.load(path) as stored:
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("not an .npz file")
            yield stored
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zipfile and numpy raise many kinds
        raise UserError(f"{path}: damaged; delete it and run again") from error


def response_start(token_bytes: np.ndarray, prompt: str) -> int:
    """Return how many tokens lie entirely in the prompt.

    They are counted in bytes, because one token may hold the end of the prompt and the start of the
    response header. It counts as response: otherwise the header would never be learned whole.

    Args:
        token_bytes: length in bytes of each token of the whole text.
        prompt: the text before the response header.
    """
    return int(np.searchsorted(token_bytes.cumsum(), len(prompt.encode()), side="right"))


def _bytes_of_tokens(tokenizer: "tiktoken.Encoding") -> np.ndarray:
    """Return the length in bytes of every token of the vocabulary."""
    lengths = np.zeros(tokenizer.n_vocab, dtype=np.int32)
    for token in range(tokenizer.n_vocab):
        if token != tokenizer.eot_token:
            lengths[token] = len(tokenizer.decode_single_token_bytes(token))
    return lengths

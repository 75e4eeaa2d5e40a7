"""A split as token ids, made once for every recipe that reads it (listing 7.4)."""

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import tiktoken

from workflow.lib.data.entries import read_entries
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.log import log
from workflow.lib.tokens.prompt_style import PromptStyle


@dataclass(frozen=True)
class TokenizedSplit:
    """Token ids of every entry of a split: prompt, header and answer, no end-of-text.

    Args:
        sequences: int32 arrays, one an entry.
        response_starts: for each, how many of its tokens belong wholly to the prompt.
    """

    sequences: list[np.ndarray]
    response_starts: np.ndarray


def tokenize_split(
    entries: Path, tokenizer: tiktoken.Encoding, style: PromptStyle, output: Path
) -> None:
    """Encode a split and store it as .npz: `token_ids`, `offsets` (n + 1), `response_starts`."""
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
    with replacing(output) as unfinished, unfinished.open("wb") as file:
        np.savez(
            file,
            token_ids=np.concatenate(sequences),
            offsets=np.array(offsets),
            response_starts=np.array(response_starts),
        )
    log.info("%s: %d entries, %d tokens", output, len(sequences), offsets[-1])


def load_tokens(path: Path) -> TokenizedSplit:
    """Read what `tokenize_split` wrote."""
    try:
        with np.load(path) as stored:
            offsets = stored["offsets"]
            sequences = np.split(stored["token_ids"], offsets[1:-1])
            return TokenizedSplit(sequences, stored["response_starts"])
    except (BadZipFile, KeyError, ValueError, EOFError) as error:
        raise UserError(f"{path}: damaged; delete it and run again") from error


def response_start(token_bytes: np.ndarray, prompt: str) -> int:
    """How many tokens lie wholly in the prompt.

    Counted in bytes, because a merge may join the end of the prompt with the start of the header;
    such a token counts as response, or the header would never be learned whole.

    Args:
        token_bytes: length in bytes of each token of the whole text.
        prompt: the text before the response header.
    """
    return int(np.searchsorted(token_bytes.cumsum(), len(prompt.encode()), side="right"))


def _bytes_of_tokens(tokenizer: tiktoken.Encoding) -> np.ndarray:
    """Length in bytes by token id."""
    lengths = np.zeros(tokenizer.n_vocab, dtype=np.int32)
    for token in range(tokenizer.n_vocab):
        if token != tokenizer.eot_token:
            lengths[token] = len(tokenizer.decode_single_token_bytes(token))
    return lengths

"""GPT-2's byte-pair encoding, built from encoder.json and vocab.bpe."""

import os
import re
from itertools import pairwise
from pathlib import Path

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

# tiktoken would cache these files in a temporary folder under their path, whatever they contain.
os.environ["TIKTOKEN_CACHE_DIR"] = ""


# A run of more white space before a word overflows the stack of tiktoken's regular expressions,
# which ends in a PanicException. White space is what its `\s` takes for it.
LONGEST_RUN = 100_000
_SPACES = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


class Encoding(tiktoken.Encoding):
    """tiktoken's encoding, also for texts with very long runs of white space."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Encode a text whose special tokens are plain text.

        It is cut where tiktoken's pattern ends a piece anyway: before the last of the white space
        that precedes a word. The tokens are those of the whole.
        """
        if len(text) <= LONGEST_RUN:
            return super().encode_ordinary(text)
        ends = (run.end() for run in _SPACES.finditer(text)
                if len(run[0]) > LONGEST_RUN and run.end() < len(text))  # fmt: skip
        cuts = [0, *(end - 1 for end in ends), len(text)]
        pieces = (text[start:end] for start, end in pairwise(cuts))
        return [token for piece in pieces for token in super(Encoding, self).encode_ordinary(piece)]


def load_tokenizer(folder: Path) -> tiktoken.Encoding:
    """Build the encoding; `eot_token` is its end-of-text token, `n_vocab` its vocabulary size.

    Encode text with `encode_ordinary`, so that `<|endoftext|>` in a data set is plain text.

    Args:
        folder: contains encoder.json and vocab.bpe in OpenAI's format.

    Raises:
        UserError: the two files do not belong together or lack the end-of-text token.
    """
    encoder, merges = folder / "encoder.json", folder / "vocab.bpe"
    ids = read_json(encoder)
    if not isinstance(ids, dict) or END_OF_TEXT not in ids:
        raise UserError(f"{encoder}: not a token table with {END_OF_TEXT} in it")
    try:
        ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(encoder))
        return Encoding(
            folder.name,
            pat_str=r50k_pat_str,
            mergeable_ranks=ranks,
            special_tokens={END_OF_TEXT: ids[END_OF_TEXT]},
            explicit_n_vocab=len(ids),
        )
    except (AssertionError, KeyError, ValueError) as error:
        raise UserError(
            f"{encoder} and {merges} do not make one encoding; delete the folder and "
            "resources/downloads to download them again"
        ) from error

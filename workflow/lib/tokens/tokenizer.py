"""GPT-2's byte-pair encoding, built from encoder.json and vocab.bpe."""

import os
from pathlib import Path

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

# tiktoken would cache these files in a temporary folder under their path, whatever they contain.
os.environ["TIKTOKEN_CACHE_DIR"] = ""


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
        return tiktoken.Encoding(
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

"""The small world's tokenizer: trained here, saved in GPT-2's files encoder.json and vocab.bpe."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.runtime.files import read_json
from workflow.lib.tokens.prompt_style import load_style
from workflow.small_world.corpus import read_documents
from workflow.small_world.dataset import SPLIT_SIZES

# The documents are so alike that more of them would not change the merges that matter.
TRAINING_DOCUMENTS = 20_000


def train_tokenizer(corpus: Path, dataset: Path, folder: Path, vocab_size: int) -> None:
    """Train a byte-level BPE with GPT-2's pre-tokenization and write its two files.

    Args:
        corpus: the pretraining text.
        dataset: the data set, whose training entries show what prompts look like.
        folder: where encoder.json and vocab.bpe go.
        vocab_size: number of tokens, <|endoftext|> included, which is the last one.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        # A few more than needed, for the merges that _distinct_merges takes out.
        vocab_size=vocab_size + 100,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = read_documents(corpus)[:TRAINING_DOCUMENTS] + _prompt_texts(dataset)
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]["merges"]
    merges = _distinct_merges(learned)[: vocab_size - 256 - 1]

    symbols = _byte_symbols() + [left + right for left, right in merges] + [END_OF_TEXT]
    encoder = {symbol: token_id for token_id, symbol in enumerate(symbols)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "vocab.bpe").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fast_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer that encodes a whole corpus in seconds, <|endoftext|> as one token.

    Args:
        folder: holds encoder.json and vocab.bpe.
    """
    model = models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def _prompt_texts(dataset: Path) -> list[str]:
    """Return the training entries as prompts, so that the prompt style's words become tokens."""
    style = load_style("alpaca")
    entries = read_json(dataset)[: SPLIT_SIZES["train"]]
    return [style.prompt(entry) + style.completion(entry) for entry in entries]


def _distinct_merges(merges: list[list[str]]) -> list[tuple[str, str]]:
    """Keep the first of several merges that make the same token, because a token has one rank."""
    first = {left + right: (left, right) for left, right in reversed(merges)}
    return [pair for pair in map(tuple, merges) if first[pair[0] + pair[1]] == pair]


def _byte_symbols() -> list[str]:
    """Return GPT-2's 256 byte symbols in its order: printable bytes first, as themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]

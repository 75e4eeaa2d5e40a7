"""Tokens: the encoding, and what is stored of a split."""

import json
import shutil

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import NANO
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.dataset import load_tokens, response_start, tokenize_split
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer


@given(text=st.text(max_size=60))
def test_any_text_survives_encoding(text, tokenizer):
    assert tokenizer.decode(tokenizer.encode_ordinary(text)) == text


@pytest.mark.parametrize("space", [" ", "\n", "\t ", "\u3000 "], ids=ascii)
@pytest.mark.parametrize("text", ["a{}b", "a{}1", "{}!", "a {}", "{}", "it's{}'s  {}x", "{}\x1cx"])
def test_a_long_run_of_white_space_has_the_tokens_of_the_whole(monkeypatch, tokenizer, text, space):
    """Cut into pieces here; tiktoken itself still takes runs of this length."""
    for length in (1, 2, 3, 50):
        whole = text.format(*[space * length] * 2)
        expected = tiktoken.Encoding.encode_ordinary(tokenizer, whole)
        with monkeypatch.context() as patch:
            patch.setattr("workflow.lib.tokens.tokenizer.LONGEST_RUN", 1)
            assert tokenizer.encode_ordinary(whole) == expected


def test_a_million_spaces_in_an_entry_are_tokens(tmp_path, tokenizer):
    entry = {"instruction": f"a{' ' * 1_000_000}b", "input": "", "output": "c"}
    (tmp_path / "entries.json").write_text(json.dumps([entry]))
    tokenize_split(
        tmp_path / "entries.json", tokenizer, load_style("alpaca"), tmp_path / "tokens.npz"
    )
    [tokens] = load_tokens(tmp_path / "tokens.npz").sequences
    assert entry["instruction"] in tokenizer.decode(tokens.tolist())


def test_end_of_text_in_an_entry_is_plain_text(tokenizer):
    tokens = tokenizer.encode_ordinary("a<|endoftext|>b")
    assert tokenizer.eot_token not in tokens
    assert tokenizer.decode(tokens) == "a<|endoftext|>b"


def test_the_end_of_text_token_is_the_tokenizers(tokenizer):
    ids = json.loads((NANO / "encoder.json").read_text("utf-8"))
    assert tokenizer.eot_token == ids["<|endoftext|>"]
    assert tokenizer.n_vocab == len(ids)


@pytest.mark.parametrize("style", ["alpaca", "alpaca-ko", "phi3"])
def test_stored_tokens_are_the_whole_text_and_know_where_it_splits(tmp_path, tokenizer, style):
    style = load_style(style)
    entries = [
        {"instruction": "Name an animal.", "input": "", "output": "a cat"},
        {"instruction": "Spell it.", "input": "Ocassion\n", "output": "Occasion"},
    ]
    (tmp_path / "train.json").write_text(json.dumps(entries))
    tokenize_split(tmp_path / "train.json", tokenizer, style, tmp_path / "train.npz")
    stored = load_tokens(tmp_path / "train.npz")
    for entry, ids, start in zip(entries, stored.sequences, stored.response_starts, strict=True):
        text = style.prompt(entry) + style.completion(entry)
        assert tokenizer.decode(ids.tolist()) == text
        assert style.prompt(entry).startswith(tokenizer.decode(ids[:start].tolist()))
        assert len(tokenizer.decode(ids[: start + 1].tolist())) > len(style.prompt(entry))


def test_a_token_across_the_boundary_belongs_to_the_response():
    """Tokens of 3, 4 and 2 bytes over a prompt of 5 bytes: only the first lies wholly in it."""
    assert response_start(np.array([3, 4, 2]), "12345") == 1
    assert response_start(np.array([3, 2, 4]), "12345") == 2
    assert response_start(np.array([2, 3]), "é") == 1  # two bytes, one character


def test_the_same_split_gives_the_same_bytes(tmp_path, tokenizer):
    (tmp_path / "train.json").write_text(
        json.dumps([{"instruction": "a", "input": "", "output": "b"}])
    )
    for name in ("one.npz", "two.npz"):
        tokenize_split(tmp_path / "train.json", tokenizer, load_style("phi3"), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_damaged_token_cache_says_what_to_do(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(UserError, match=r"x\.npz: damaged; delete it and run again"):
        load_tokens(tmp_path / "x.npz")


def test_files_that_are_not_one_encoding_are_refused(tmp_path):
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(NANO / name, tmp_path)
    merges = (tmp_path / "vocab.bpe").read_text("utf-8").splitlines()
    (tmp_path / "vocab.bpe").write_text("\n".join([*merges[:-3], ""]), "utf-8")
    with pytest.raises(UserError, match="do not make one encoding"):
        load_tokenizer(tmp_path)


def test_a_table_without_end_of_text_is_refused(tmp_path):
    (tmp_path / "encoder.json").write_text('{"a": 0}')
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\n")
    with pytest.raises(UserError, match=r"not a token table with <\|endoftext\|> in it"):
        load_tokenizer(tmp_path)

"""Facts about the given files that the pipeline's own code must find again."""

import json

import pytest

from workflow.lib.cli.show_batch import ALL, batch_lines
from workflow.lib.data.entries import read_entries
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataset import load_tokens, tokenize_split
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer


def test_the_published_responses_belong_to_our_test_split(real_data):
    entries = read_entries(real_data / "instruction-data.json")
    published = json.loads((real_data / "instruction-data-with-response.json").read_text("utf-8"))
    assert [{k: e[k] for k in ("instruction", "input", "output")} for e in published] == (
        entries[935:1045]
    )


def test_gpt2s_encoding_ends_with_end_of_text(real_data):
    tokenizer = load_tokenizer(real_data / "gpt2-tokenizer")
    assert (tokenizer.n_vocab, tokenizer.eot_token) == (50257, 50256)
    assert tokenizer.encode_ordinary("Hello, world!") == [15496, 11, 995, 0]


def test_prompts_end_where_their_own_tokens_do(real_data, tmp_path):
    """On the real data no merge crosses into the header, as the published exercise assumes."""
    tokenizer = load_tokenizer(real_data / "gpt2-tokenizer")
    style = load_style("alpaca")
    tokenize_split(real_data / "instruction-data.json", tokenizer, style, tmp_path / "all.npz")
    stored = load_tokens(tmp_path / "all.npz")
    entries = read_entries(real_data / "instruction-data.json")
    assert stored.response_starts.tolist() == [
        len(tokenizer.encode_ordinary(style.prompt(entry))) for entry in entries
    ]


@pytest.mark.parametrize("name", ["alpaca", "phi3"])
def test_masked_rows_of_the_real_data_teach_the_response_and_one_end(real_data, tmp_path, name):
    tokenizer = load_tokenizer(real_data / "gpt2-tokenizer")
    style, source = load_style(name), real_data / "instruction-data.json"
    tokenize_split(source, tokenizer, style, tmp_path / "all.npz")
    stored = load_tokens(tmp_path / "all.npz")
    _, targets = collate(stored.sequences, 50256, 1024, stored.response_starts)
    for entry, row in zip(read_entries(source), targets, strict=True):
        taught = tokenizer.decode(row[row != IGNORE_INDEX].tolist())
        assert taught == style.completion(entry) + "<|endoftext|>"


def test_the_batches_shown_have_the_shapes_printed_in_the_chapter(real_data, tmp_path):
    tokenizer = load_tokenizer(real_data / "gpt2-tokenizer")
    entries = json.loads((real_data / "instruction-data.json").read_text("utf-8"))[:935]
    (tmp_path / "train.json").write_text(json.dumps(entries), "utf-8")
    tokens = tmp_path / "train.npz"
    tokenize_split(tmp_path / "train.json", tokenizer, load_style("alpaca"), tokens)
    _, *shapes = batch_lines(tokens, tokenizer, Training(), ALL)
    assert len(shapes) == 116
    printed = [f"torch.Size([8, {n}]) torch.Size([8, {n}])" for n in (61, 76, 73, 74, 69)]
    assert [*shapes[:3], *shapes[-2:]] == printed

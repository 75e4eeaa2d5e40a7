"""What a row of targets teaches: the response and one end, and with a masked prompt only those."""

import json

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import SMALL_WORLD
from tests.support.training_case import TRAINING, random_split, run, write_split
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataloader import drop_cut_before_response, make_dataloader, read_split
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens, tokenize_split
from workflow.lib.tokens.prompt_style import load_style

STYLES = ("alpaca", "alpaca-ko", "phi3")
DATA = SMALL_WORLD / "instruction-data.json"


@pytest.fixture(scope="module", params=STYLES)
def tokenized(request, tokenizer, tmp_path_factory):
    """120 entries of the small world in one style: the style, the entries and their tokens."""
    folder = tmp_path_factory.mktemp(request.param)
    entries = json.loads(DATA.read_text("utf-8"))[:120]
    (folder / "train.json").write_text(json.dumps(entries))
    style = load_style(request.param)
    tokenize_split(folder / "train.json", tokenizer, style, folder / "train.npz")
    return style, entries, load_tokens(folder / "train.npz")


def rows_of(split: TokenizedSplit, tokenizer, training, max_length):
    """Rows of targets, in the order of the split."""
    loader = make_dataloader(split, tokenizer.eot_token, training, max_length, shuffle=False)
    return [row for _, targets in loader for row in targets]


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_every_row_that_is_not_cut_supervises_one_end_token(
    tokenized, tokenizer, mask_prompt, cut
):  # fmt: skip
    """As its last target; a row that is cut has none."""
    _, _, split = tokenized
    training = Training(mask_prompt=mask_prompt)
    max_length = sorted(map(len, split.sequences))[60] if cut else 1024
    whole = 0
    for ids, row in zip(split.sequences, rows_of(split, tokenizer, training, max_length),
                        strict=True):  # fmt: skip
        counted = row[row != IGNORE_INDEX]
        ends = int((counted == tokenizer.eot_token).sum())
        if len(ids) <= max_length:
            whole += 1
            assert ends == 1
            assert counted[-1] == tokenizer.eot_token
        else:
            assert ends == 0
    assert (0 < whole < 120) if cut else (whole == 120)


def test_a_masked_row_teaches_header_answer_and_end_and_nothing_of_the_prompt(
    tokenized, tokenizer
):  # fmt: skip
    style, entries, split = tokenized
    rows = rows_of(split, tokenizer, Training(mask_prompt=True), 1024)
    for entry, row in zip(entries, rows, strict=True):
        taught = tokenizer.decode(row[row != IGNORE_INDEX].tolist())
        assert taught == style.completion(entry) + "<|endoftext|>"


texts = st.text(st.sampled_from("ab\n :#<|>é한"), max_size=8)


@pytest.mark.parametrize("name", STYLES)
@settings(max_examples=60, deadline=None)
@given(instruction=texts, given_input=texts, output=texts)
def test_the_boundary_is_exact_whatever_the_texts_end_with(
    name, instruction, given_input, output, tokenizer, tmp_path_factory
):  # fmt: skip
    """All of the completion is taught; of the prompt at most the beginning of one merged token."""
    folder = tmp_path_factory.mktemp("boundary")
    entry = {"instruction": "x" + instruction, "input": given_input, "output": output}
    (folder / "train.json").write_text(json.dumps([entry]))
    style = load_style(name)
    tokenize_split(folder / "train.json", tokenizer, style, folder / "train.npz")
    split = load_tokens(folder / "train.npz")
    [row] = rows_of(split, tokenizer, Training(mask_prompt=True, batch_size=1), 1024)
    tokens = row[row != IGNORE_INDEX].tolist()
    assert tokens.pop() == tokenizer.eot_token
    pieces = [tokenizer.decode_single_token_bytes(token) for token in tokens]
    prompt, completion = style.prompt(entry).encode(), style.completion(entry).encode()
    surplus = len(b"".join(pieces)) - len(completion)
    assert b"".join(pieces) == (prompt + completion)[len(prompt) - surplus :]
    assert 0 <= surplus < len(pieces[0])


def test_a_merge_across_the_boundary_does_not_move_it(tmp_path):
    """An encoding that reads the prompt's last letter and the header's line feed as one token.

    Counted by the prompt encoded alone, that token would be the prompt's, header and all.
    """
    merging = tiktoken.Encoding(
        "merging",
        pat_str=r"[\s\S]+",
        mergeable_ranks={bytes([n]): n for n in range(256)} | {b"n\n": 256},
        special_tokens={"<|endoftext|>": 257},
    )
    style = load_style("alpaca")
    entry = {"instruction": "Spell it.", "input": "Ocassion", "output": "Occasion"}
    (tmp_path / "train.json").write_text(json.dumps([entry]))
    tokenize_split(tmp_path / "train.json", merging, style, tmp_path / "train.npz")
    split = load_tokens(tmp_path / "train.npz")
    alone = merging.encode_ordinary(style.prompt(entry))
    assert split.response_starts == [len(alone) - 1]
    _, targets = collate(split.sequences, 257, response_starts=split.response_starts)
    taught = merging.decode(targets[targets != IGNORE_INDEX].tolist())
    assert taught == "n\n\n### Response:\nOccasion<|endoftext|>"


@pytest.mark.parametrize("start", range(1, 10))
@pytest.mark.parametrize("max_length", [3, 5, 8, 20])
def test_the_entries_left_out_are_those_without_a_target(start, max_length):
    """Exactly: one token more of room and the first token of the response is taught."""
    split = TokenizedSplit([np.arange(9), np.arange(9)], np.array([start, 0]))
    _, targets = collate(split.sequences, 99, max_length, split.response_starts)
    kept, numbers = drop_cut_before_response(split, "x", max_length)
    unanswered = not (targets[0] != IGNORE_INDEX).any()
    assert numbers == ([0] if unanswered else [])
    assert len(kept.sequences) == len(kept.response_starts) == 2 - len(numbers)


def test_entries_cut_before_their_response_are_named_and_left_out(files, caplog):
    """With a masked prompt; they stay where the prompt is learned from too."""
    caplog.set_level("INFO", "pipeline")
    split = random_split(43, 2)
    split.response_starts[[3, 17]] = 55
    split.sequences[3] = split.sequences[17] = np.arange(58, dtype=np.int32)
    write_split(files[0].train, split)
    _, record = run(files, TRAINING.model_copy(update={"mask_prompt": True}))
    assert record["cut_before_response"] == {"train": [3, 17], "val": []}
    assert {3, 17} <= set(record["too_long"]["train"])
    said = "2 entries dropped, truncated before their responses at 50 tokens: 3, 17"
    assert f"{files[0].train}: {said}" in caplog.text
    assert record["steps"] == 2 * (41 // 8)
    caplog.clear()
    _, record = run(files)
    assert record["cut_before_response"] == {"train": [], "val": []}
    assert "truncated before" not in caplog.text


def test_a_split_of_prompts_alone_is_refused(files):
    split = random_split(11, 3)
    write_split(files[0].val, TokenizedSplit([np.arange(58)] * 3, np.array([51, 52, 53])))
    with pytest.raises(UserError, match=r"val\.npz: no prompt leaves room .*max_length"):
        run(files, TRAINING.model_copy(update={"mask_prompt": True}))
    write_split(files[0].val, split)
    kept, numbers = drop_cut_before_response(*[read_split(files[0].val, 50)[0], "x", 50])
    assert (len(kept.sequences), numbers) == (11, [])


def test_the_published_exercises_row(tokenizer):
    """Exercise 7.2 masks the first n - 1 targets, n the tokens of the prompt."""
    ids = torch.arange(10).tolist()
    _, targets = collate([ids], tokenizer.eot_token, response_starts=[6])
    assert targets[0].tolist() == [-100] * 5 + [6, 7, 8, 9, tokenizer.eot_token]

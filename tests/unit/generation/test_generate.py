"""Cached, batched responses are the textbook's, token for token."""

import json
from types import SimpleNamespace

import pytest
import torch

from tests.support.models import CONFIG, END, random_model, random_prompts
from tests.support.oracle import generate_textbook
from tests.support.training_case import BYTES
from tests.support.training_case import CONFIG as BYTES_CONFIG
from workflow.lib.generation import generate as module
from workflow.lib.generation import kv_cache
from workflow.lib.generation.generate import generate
from workflow.lib.generation.record import read_cut_off, write_generation
from workflow.lib.generation.responses import write_responses
from workflow.lib.model.gpt import GPTModel
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import load_style


@pytest.mark.parametrize("cache_bytes", [1, 50_000, 2**30])
def test_tokens_equal_full_recomputation(monkeypatch, cache_bytes):
    """Batches of one, of a few and of all.

    The prompts fit into the context of 32, outgrow it or exceed it.
    """
    monkeypatch.setattr(module, "CACHE_BYTES", cache_bytes)
    model = random_model(3)
    prompts = random_prompts([1, 3, 3, 9, 12, 17, 20, 25, 31, 32, 40])
    found = dict(generate(model, prompts, 15, END))
    assert sorted(found) == list(range(len(prompts)))
    for number, prompt in enumerate(prompts):
        assert found[number] == generate_textbook(model, prompt, 15, END), number


@pytest.mark.parametrize("graphs", [False, True])
def test_no_step_writes_repeatably(monkeypatch, graphs):
    """Torch would wait for CUDA in each such write, as samples in a training once did."""
    model, hidden, enabled = random_model(3), GPTModel.hidden, []

    def noted(self, tokens, *arguments):
        enabled.append((tokens.dim(), torch.are_deterministic_algorithms_enabled()))
        return hidden(self, tokens, *arguments)

    monkeypatch.setattr(GPTModel, "hidden", noted)
    torch.use_deterministic_algorithms(True)
    try:
        list(generate(model, random_prompts([3]), 4, -1, graphs=graphs))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert enabled == [(1, True), *[(2, False)] * 3]  # the prompt, then a token at a time


def test_a_response_ends_at_end_of_text():
    """Every token is taken as the end once, so that rows leave the batch at different steps."""
    model = random_model(3)
    prompts = random_prompts([2, 4, 6, 8])
    lengths = set()
    for end in {token for p in prompts for token in generate_textbook(model, p, 15, -1)}:
        for number, tokens in generate(model, prompts, 15, end):
            assert tokens == generate_textbook(model, prompts[number], 15, end)
            lengths.add(len(tokens))
    assert len(lengths) > 3


def test_responses_keep_order_keys_and_text(tmp_path):
    entries = [
        {"instruction": f"Say {'ä' * n}", "input": "", "output": "ja", "kind": "x"}
        for n in (9, 1, 5)
    ]
    (tmp_path / "test.json").write_text(json.dumps(entries))
    model = random_model(1, BYTES_CONFIG)
    write_responses(
        model, tmp_path / "test.json", BYTES, load_style("phi3"), Generation(max_new_tokens=4),
        tmp_path / "responses.json",
    )  # fmt: skip
    text = (tmp_path / "responses.json").read_text("utf-8")
    assert "Say äää" in text
    assert '    "instruction"' in text
    responses = json.loads(text)
    assert [{k: r[k] for k in entries[0]} for r in responses] == entries
    assert all(list(r)[-1] == "model_response" for r in responses)


def test_responses_with_all_tokens_they_may_have_are_recorded_as_cut_off(tmp_path):
    """Once each token is the end, so that some responses have it and others do not."""
    entries = [{"instruction": "Say " + "x" * n, "input": "", "output": "ja"} for n in range(6)]
    (tmp_path / "test.json").write_text(json.dumps(entries))
    responses, model = tmp_path / "responses.json", random_model(1, BYTES_CONFIG)
    style, settings, found = load_style("phi3"), Generation(max_new_tokens=9), set()
    prompts = [list(style.prompt(entry).encode()) for entry in entries]
    for end in {token for p in prompts for token in generate_textbook(model, p, 9, -1)}:
        tokenizer = SimpleNamespace(
            encode_ordinary=BYTES.encode_ordinary, decode=BYTES.decode, eot_token=end
        )
        write_responses(model, tmp_path / "test.json", tokenizer, style, settings, responses)
        cut_off = read_cut_off(responses, len(entries))
        assert cut_off == {
            n for n, p in enumerate(prompts) if len(generate_textbook(model, p, 9, end)) == 9
        }
        found.add(len(cut_off))
    assert len(found) > 1
    record = json.loads((tmp_path / "generation.json").read_text())
    assert record["max_new_tokens"] == 9


def test_of_other_responses_it_is_not_known_whether_they_were_cut_off(tmp_path):
    responses = tmp_path / "responses.json"
    responses.write_text("[]")
    assert read_cut_off(responses, 3) is None  # results of an earlier version
    write_generation(responses, 9, {2, 0})
    assert read_cut_off(responses, 3) == {0, 2}
    with pytest.raises(UserError, match=r"generation.json: names entry 2 of 2.*delete it"):
        read_cut_off(responses, 2)
    responses.write_text("[1]")
    assert read_cut_off(responses, 3) is None


def test_training_mode_is_given_back():
    model = random_model(3).train()
    list(generate(model, [[1, 2]], 2, END))
    assert model.training
    assert CONFIG.context_length == 32


def computed_by(model, monkeypatch):
    """The shapes of the token ids that the model is given, as they come."""
    shapes, hidden = [], model.hidden
    monkeypatch.setattr(
        model, "hidden", lambda ids, *rest: shapes.append(tuple(ids.shape)) or hidden(ids, *rest)
    )
    return shapes


def test_common_beginnings_are_computed_once_and_padding_never(monkeypatch):
    model = random_model(3)
    prompts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 7], [1, 2, 3, 4]]
    shapes = computed_by(model, monkeypatch)
    list(generate(model, prompts, 3, -1))
    assert shapes == [(3 + 1 + 2 + 1,), (3, 1), (3, 1)]


def test_a_finished_row_is_given_to_a_prompt_that_waits(monkeypatch):
    """Two rows, five prompts: no step computes a row without a text."""
    model = random_model(3)
    prompts = random_prompts([4, 4, 4, 4, 4])
    end = generate_textbook(model, prompts[0], 3, -1)[2]  # ends the first early
    expected = [generate_textbook(model, prompt, 9, end) for prompt in prompts]
    monkeypatch.setattr(module, "CACHE_BYTES", 2 * (4 + 9) * module.bytes_per_position(model))
    shapes = computed_by(model, monkeypatch)
    assert [tokens for _, tokens in sorted(generate(model, prompts, 9, end))] == expected
    steps = sum(shape[0] for shape in shapes if len(shape) == 2)
    assert steps == sum(min(len(tokens), 8) for tokens in expected)
    assert max(shape[0] for shape in shapes if len(shape) == 2) == 2


def test_the_last_prompts_do_not_wait_for_the_first_to_finish(monkeypatch):
    """Nine rows for nine prompts, of which eight are read at a time."""
    model = random_model(3)
    prompts = random_prompts([4] * 9)
    monkeypatch.setattr(module, "PROMPT_TOKENS", 8 * 4)
    shapes = computed_by(model, monkeypatch)
    list(generate(model, prompts, 7, -1))
    assert [shape[0] for shape in shapes if len(shape) == 2] == [8, 9, 9, 9, 9, 9, 1]


def test_what_memory_held_before_is_not_seen(monkeypatch):
    model = random_model(3)
    prompts = random_prompts([2, 9, 20])

    def with_garbage(x, *size):
        return x.new_full(size[0] if len(size) == 1 else size, torch.nan)

    monkeypatch.setattr(torch.Tensor, "new_empty", with_garbage)
    monkeypatch.setattr(kv_cache, "AHEAD", 2)
    for number, tokens in generate(model, prompts, 12, -1):
        assert tokens == generate_textbook(model, prompts[number], 12, -1)


def test_a_text_slides_only_once_it_outgrew_the_context(monkeypatch):
    model = random_model(3)
    [prompt] = random_prompts([25])
    shapes = computed_by(model, monkeypatch)
    list(generate(model, [prompt], 15, -1))
    # Tokens 26 to 33 are predicted from 25 to 32 positions, the others from the last 32.
    assert shapes == [(25,)] + [(1, 1)] * 7 + [(1, 32)] * 7

"""Responses on a device: the textbook's tokens, and what is said of ties."""

import pytest
import torch

from tests.support.models import END, random_model, random_prompts
from tests.support.oracle import generate_textbook
from workflow.lib.generation import generate as module
from workflow.lib.generation.generate import generate
from workflow.lib.generation.kv_cache import bytes_per_position
from workflow.lib.generation.sampling import Sampler
from workflow.lib.settings.recipe import Generation

PROMPTS = random_prompts([1, 3, 3, 9, 12, 17, 20, 25, 31, 32, 40])


def test_cached_tokens_are_those_of_full_recomputation(device):
    """The prompts fit into the context of 32, outgrow it or exceed it."""
    model = random_model(3)
    expected = [generate_textbook(model, prompt, 15, END) for prompt in PROMPTS]
    found = dict(generate(model.to(device), PROMPTS, 15, END))
    assert [found[number] for number in range(len(PROMPTS))] == expected


@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_fit_into_little_memory(device, monkeypatch, rows):
    model = random_model(3).to(device)
    expected = dict(generate(model, PROMPTS[:6], 15, END))
    little = rows * (17 + 15) * bytes_per_position(model)
    monkeypatch.setattr(module, "CACHE_BYTES", little)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 * little, 4 * little))
    assert module._make_cache(model, list(map(len, PROMPTS[:6])), 15).rows == rows
    assert dict(generate(model, PROMPTS[:6], 15, END)) == expected


def test_of_equal_logits_the_first_is_chosen_and_the_entry_noted(device):
    sampler = Sampler(Generation())
    logits = torch.tensor([[0.0, 2.0, 2.0, 1.0], [3.0, 0.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    assert sampler(logits.to(device), [7, 8, 9]) == [1, 0, 0]
    assert sampler.ties == {7, 9}


def test_a_model_with_two_equal_rows_in_its_head_ties(device):
    """The likeliest token has a twin: each response meets it, and each entry is noted."""
    model = random_model(3)
    with torch.no_grad():
        model.out_head.weight[40:80] = model.out_head.weight[:40]
    sampler = Sampler(Generation())
    expected = [generate_textbook(model, prompt, 8, -1) for prompt in PROMPTS[:4]]
    found = dict(generate(model.to(device), PROMPTS[:4], 8, -1, sampler))
    assert [found[number] for number in range(4)] == expected
    tied = [n for n, tokens in enumerate(expected) if any(token < 40 for token in tokens)]
    assert tied
    assert sampler.ties == {*tied}


def test_sampled_tokens_are_drawn_from_the_entrys_own_numbers(device):
    settings = Generation(temperature=1.0, top_k=20)
    model = random_model(3)
    expected = dict(generate(model, PROMPTS[:6], 10, END, Sampler(settings)))
    assert dict(generate(model.to(device), PROMPTS[:6], 10, END, Sampler(settings))) == expected

"""Drawn tokens follow their probabilities, and the seed of each entry alone decides them."""

import pytest
import torch

from tests.support.models import END, random_model, random_prompts
from workflow.lib.generation import generate as module
from workflow.lib.generation.generate import generate
from workflow.lib.generation.sampling import Sampler
from workflow.lib.settings.recipe import Generation

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0])


def frequencies(**settings):
    """How often each token is drawn in 4,000 draws, as shares."""
    sampler = Sampler(Generation(**settings))
    tokens = [sampler(LOGITS[None], [0])[0] for _ in range(4000)]
    return torch.bincount(torch.tensor(tokens), minlength=4) / 4000


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_by_their_probability(temperature):
    expected = (LOGITS / temperature).softmax(0)
    torch.testing.assert_close(frequencies(temperature=temperature), expected, atol=0.03, rtol=0)


def test_only_the_k_likeliest_are_drawn():
    found = frequencies(temperature=2.0, top_k=2)
    expected = (LOGITS[[1, 2]] / 2).softmax(0)
    torch.testing.assert_close(found[[1, 2]], expected, atol=0.03, rtol=0)
    assert found[0] == found[3] == 0


def test_top_k_of_one_and_temperature_zero_take_the_likeliest():
    model, prompts = random_model(3), random_prompts([2, 5, 9])
    greedy = dict(generate(model, prompts, 12, END))
    for settings in (Generation(temperature=5.0, top_k=1), Generation(top_k=3)):
        assert dict(generate(model, prompts, 12, END, Sampler(settings))) == greedy


def sampled(prompts, seed=123):
    settings = Generation(temperature=1.5, top_k=20, seed=seed)
    return dict(generate(random_model(3), prompts, 15, END, Sampler(settings)))


@pytest.mark.parametrize("cache_bytes", [1, 50_000])
def test_the_size_of_a_batch_changes_nothing(monkeypatch, cache_bytes):
    """Prompts that fit, outgrow and exceed the context; every entry alone, a few or all at once."""
    prompts = random_prompts([1, 3, 3, 9, 20, 31, 40])
    together = sampled(prompts)
    monkeypatch.setattr(module, "CACHE_BYTES", cache_bytes)
    assert sampled(prompts) == together


def test_entries_draw_independently_and_seeds_differ():
    """The same prompt as several entries; the next seed is not the next entry's."""
    same = [[1, 2, 3]] * 3
    responses, others = sampled(same), sampled(same, seed=124)
    distinct = {tuple(tokens) for r in (responses, others) for tokens in r.values()}
    assert len(distinct) == 6
    assert sampled(same) == responses


def test_equal_logits_are_reported():
    sampler = Sampler(Generation())
    logits = torch.tensor([[5.0, 5.0 + 1e-6, 1.0], [5.0, 5.1, 1.0], [-90.0, -99.0, -90.00001]])
    assert sampler(logits, [7, 8, 9]) == [1, 1, 0]
    assert sampler.ties == {7, 9}

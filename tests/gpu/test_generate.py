"""Responses on a device: the textbook's tokens, and what is said of ties."""

import json

import pytest
import torch

from tests.support.models import END, random_model, random_prompts
from tests.support.oracle import generate_textbook
from tests.support.training_case import BYTES, run
from workflow.lib.fast import cuda_graphs
from workflow.lib.generation import generate as module
from workflow.lib.generation import graph_cache, responses
from workflow.lib.generation.generate import generate
from workflow.lib.generation.graph_cache import GraphCache
from workflow.lib.generation.kv_cache import KeyValueCache, bytes_per_position
from workflow.lib.generation.responses import ResponsesJob, write_responses
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.weights import load_trained_model
from workflow.lib.runtime.processes import Worker
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.arguments import Compute

PROMPTS = random_prompts([1, 3, 3, 9, 12, 17, 20, 25, 31, 32, 40])


def respond(model, prompts, most, end, sample=None):
    """The responses by number, as a job on the model's device computes them."""
    graphs = cuda_graphs.has_graphs(model.tok_emb.weight.device)
    found = dict(generate(model, prompts, most, end, sample, graphs))
    return [found[number] for number in range(len(prompts))]


def test_cached_tokens_are_those_of_full_recomputation(device):
    """The prompts fit into the context of 32, outgrow it or exceed it."""
    model = random_model(3)
    expected = [generate_textbook(model, prompt, 15, END) for prompt in PROMPTS]
    assert respond(model.to(device), PROMPTS, 15, END) == expected


def test_a_graph_for_each_size_has_the_same_tokens(device, monkeypatch):
    """Rows are halved and places added; each token is the end once, so that texts end apart."""
    monkeypatch.setattr(graph_cache, "PLACES", 4)
    monkeypatch.setattr(graph_cache, "FEWEST_ROWS", 1)
    model = random_model(3)
    texts = [generate_textbook(model, prompt, 12, -1) for prompt in PROMPTS[:6]]
    model.to(device)
    caches, make = [], module._make_cache
    monkeypatch.setattr(module, "_make_cache", lambda *a: caches.append(make(*a)) or caches[-1])
    lengths = set()
    for end in {token for text in texts for token in text}:
        expected = [text[: text.index(end)] if end in text else text for text in texts]
        assert respond(model, PROMPTS[:6], 12, end) == expected
        lengths.add(tuple(map(len, expected)))
    assert len(lengths) > 5
    if cuda_graphs.has_graphs(device):
        sizes = {(shape[1], seen) for cache in caches for seen, shape in cache.graphs.captured}
        assert {rows for rows, _ in sizes} == {6, 3, 2, 1}
        assert len({seen for _, seen in sizes}) > 4


@pytest.mark.parametrize("fast", [True, False])
def test_a_job_answers_as_a_cpu_does(device, files, tmp_path, monkeypatch, fast):
    run(files, compute=Compute(device, settings=Computing(device=device.type)))
    entries = [{"instruction": f"Say {'hi ' * n}", "input": "", "output": ""} for n in (5, 1, 3)]
    (tmp_path / "test.json").write_text(json.dumps(entries))
    used, make = [], module._make_cache
    monkeypatch.setattr(module, "_make_cache", lambda *a: used.append(a[-1]) or make(*a))
    monkeypatch.setattr(responses, "load_tokenizer", lambda _: BYTES)
    ResponsesJob(
        model=files[1].model, training=files[1].training, entries=tmp_path / "test.json",
        tokenizer=tmp_path, output=tmp_path / "responses.json", style=load_style("phi3"),
        generation=Generation(max_new_tokens=9), computing=Computing(device=device.type, fast=fast),
    ).run(Worker())  # fmt: skip
    assert used == [GraphCache if fast and cuda_graphs.has_graphs(device) else KeyValueCache]
    model = load_trained_model(files[1].model, files[1].training)
    expected = tmp_path / "expected.json"
    write_responses(
        model, tmp_path / "test.json", BYTES, load_style("phi3"),
        Generation(max_new_tokens=9), expected,
    )  # fmt: skip
    assert (tmp_path / "responses.json").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_fit_into_little_memory(device, monkeypatch, rows):
    model = random_model(3).to(device)
    expected = respond(model, PROMPTS[:6], 15, END)
    little = rows * (17 + 15) * bytes_per_position(model)
    monkeypatch.setattr(module, "CACHE_BYTES", little)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 * little, 4 * little))
    lengths = [*map(len, PROMPTS[:6])]
    assert module._make_cache(model, lengths, 15, KeyValueCache).rows == rows
    assert respond(model, PROMPTS[:6], 15, END) == expected


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
    assert respond(model.to(device), PROMPTS[:4], 8, -1, sampler) == expected
    tied = [n for n, tokens in enumerate(expected) if any(token < 40 for token in tokens)]
    assert tied
    assert sampler.ties == {*tied}


def test_sampled_tokens_are_drawn_from_the_entrys_own_numbers(device):
    settings = Generation(temperature=1.0, top_k=20)
    model = random_model(3)
    found = dict(generate(model, PROMPTS[:6], 10, END, Sampler(settings)))
    expected = [found[number] for number in range(6)]
    assert respond(model.to(device), PROMPTS[:6], 10, END, Sampler(settings)) == expected

"""Variants of the benchmark compute what the pipeline computes, and the benchmark runs."""

import json
import subprocess
import sys
from itertools import islice

import pytest
import torch

from benchmarks.gpu.graphs import GraphEngine, decode_static
from benchmarks.gpu.indexed import IndexedEngine, lay_out
from tests.support.models import random_model, random_prompts
from tests.support.oracle import collate_textbook
from tests.support.paths import ROOT
from tests.support.training_case import CONFIG, TRAINING, random_split
from workflow.lib.generation.generate import generate
from workflow.lib.parallel.engine import Engine
from workflow.lib.tokens.collate import IGNORE_INDEX
from workflow.lib.tokens.dataloader import make_dataloader
from workflow.lib.training.optimizer import make_optimizer

PREFIX = [*range(20)]
SEQUENCES = [[*PREFIX, *map(int, ids)] for ids in random_split(8, 5).sequences]
BATCHES = [
    collate_textbook(SEQUENCES, 256, 50),
    collate_textbook(SEQUENCES, 256, 50, [25] * len(SEQUENCES)),
    collate_textbook([PREFIX, *SEQUENCES[:3]], 256, 50),
    collate_textbook([PREFIX[:5], [*PREFIX[:5], 7], [*PREFIX[:5], 8]], 256, 50),
    collate_textbook(random_split(8, 6).sequences, 256, 50),
    collate_textbook(SEQUENCES[:1], 256, 50),
    collate_textbook([[1, 2, 3], [1, 2, 3, 4, 5]], 256, 50, [0, 6]),
]


class Rounded(IndexedEngine):
    rounded, rounded_evaluation = (16, 8), (32, 8)


KINDS = [IndexedEngine, Rounded, GraphEngine]


def gradients_of(engine, batch):
    engine.model.zero_grad()
    engine.backward(*batch)
    return {name: w.grad.cpu().clone() for name, w in engine.model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_are_the_pipelines(device, kind):
    """Twice each batch: a graph is captured for the first and replayed for the second."""
    engine, variant = (k(random_model(1, CONFIG).to(device)) for k in (Engine, kind))
    for batch in [*BATCHES, *BATCHES]:
        expected = gradients_of(engine, batch)
        for name, gradient in gradients_of(variant, batch).items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_several_batches_are_the_pipelines(device, kind):
    engine, variant = (k(random_model(1, CONFIG).to(device)) for k in (Engine, kind))
    for some in (BATCHES[:1], BATCHES[:4], BATCHES, BATCHES):
        losses = engine.losses(some)
        assert variant.losses(some) == pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_after_some_steps_the_weights_are_the_pipelines(device, kind):
    def trained(kind):
        model = random_model(1, CONFIG).to(device)
        engine, optimizer = kind(model), make_optimizer(model, TRAINING)
        loader = make_dataloader(random_split(43, 2), 256, TRAINING, 50, shuffle=True)
        torch.manual_seed(1)
        for batch in islice(loader, 5):
            optimizer.zero_grad()
            engine.backward(*batch)
            optimizer.step()
        return model

    expected = dict(trained(Engine).named_parameters())
    for name, weight in trained(kind).named_parameters():
        if not name.endswith("W_key.bias"):  # its true gradient is zero: AdamW steps by rounding
            torch.testing.assert_close(weight, expected[name], atol=1e-4, rtol=1e-3, msg=name)


def test_sizes_are_rounded_and_shares_stay():
    batch = lay_out(BATCHES[:2], (16, 8))
    n, m, b, t = batch.sizes
    assert (n % 16, t % 8, m, b) == (0, 0, n + b, 16)
    assert batch.weights.sum(1).tolist() == pytest.approx([1, 1])
    assert (BATCHES[1][1] == IGNORE_INDEX).any()


def test_static_decoding_is_the_pipelines(device):
    model = random_model(3).to(device)
    prompts = random_prompts([1, 3, 3, 9, 12, 17])
    limits = [15, 1, 7, 15, 2, 9]
    whole = dict(generate(model, prompts, 15, -1))
    expected = [whole[number][:limit] for number, limit in enumerate(limits)]
    assert decode_static(model, prompts, limits) == expected


@pytest.mark.slow
def test_the_benchmark_runs_through_on_a_cpu(tmp_path):
    """All but the stage `works`, which runs these tests."""
    stages = ["reference", "right", "fast", "needs"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *stages, "--device", "cpu", "--tiny",
         "--out", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {stage: json.loads((tmp_path / f"{stage}.json").read_text()) for stage in stages}
    parts = {(s, n): part for s in stages for n, part in found[s].items() if isinstance(part, dict)}
    assert not [name for name, part in parts.items() if {"failed", "skipped"} & {*part}]
    assert [name for name, part in found["right"].items() if "right" in str(part)] == [
        "fp32 against the textbook", "bf16 against fp32", "two runs",
    ]  # fmt: skip
    assert all(part["right"] for part in found["right"].values() if "right" in str(part))
    fast = found["fast"]
    assert fast["respond: static, 256"]["same_responses"] == 6
    for name in ("indexed", "graphs", "textbook"):
        assert fast[f"train: {name}"]["losses"][0] == pytest.approx(
            fast["train: engine"]["losses"][0], abs=1e-4
        )
    assert "two epochs: target 8.0 s" in done.stdout

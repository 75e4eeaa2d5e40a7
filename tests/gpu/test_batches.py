"""Losses and gradients on a device are those of the padded batch on the CPU, in float64."""

from functools import partial

import pytest
import torch

from tests.support.models import random_model
from tests.support.oracle import collate_textbook, logits_of
from tests.support.training_case import CONFIG, random_split
from workflow.lib.fast import cuda_graphs
from workflow.lib.fast.packing import pack
from workflow.lib.model.lora import add_adapters, merge_adapters
from workflow.lib.model.weights import trainable_state
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.recipe import Lora

PREFIX = [*range(20)]
SEQUENCES = [[*PREFIX, *map(int, ids)] for ids in random_split(8, 5).sequences]
LENGTHS = [25] * len(SEQUENCES)
BATCHES = {
    "a common prefix": collate_textbook(SEQUENCES, 256, 50),
    "masked prompts": collate_textbook(SEQUENCES, 256, 50, LENGTHS),
    "nothing in common": collate_textbook(random_split(8, 6).sequences, 256, 50),
    "a single entry": collate_textbook(SEQUENCES[:1], 256, 50),
}
ENGINES = {"packed": Engine, "padded": partial(Engine, packed=False), "graphs": GraphEngine}


def exact(batch):
    """The loss and all gradients of a batch, from the textbook's forward pass in float64."""
    model = random_model(1, CONFIG).double()
    inputs, targets = batch
    loss = torch.nn.functional.cross_entropy(
        logits_of(model, inputs).flatten(0, 1), targets.flatten()
    )
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("micro_batches", [1, 3])
def test_loss_and_gradients_are_the_padded_batchs(device, name, kind, micro_batches):
    """Three times: a size is computed, captured and replayed, with the same bits."""
    model = random_model(1, CONFIG).to(device)
    engine = ENGINES[kind](model, micro_batches=micro_batches)
    expected, gradients = exact(BATCHES[name])
    runs = []
    for _ in range(3):
        model.zero_grad()
        engine.backward(*BATCHES[name])
        losses = engine.losses([BATCHES[name]])
        assert losses == [pytest.approx(expected, abs=1e-5)]
        runs.append((losses, [weight.grad.clone() for weight in model.parameters()]))
        for weight_name, weight in model.named_parameters():
            assert weight.grad.device.type == device.type
            torch.testing.assert_close(
                weight.grad.cpu(), gradients[weight_name].float(),
                atol=1e-5, rtol=1e-3, msg=weight_name,
            )  # fmt: skip
    if kind == "graphs" and cuda_graphs.has_graphs(device):
        assert {name for name, *_ in engine.graphs.captured} == {True, False}  # steps and losses
    for losses, found in runs[1:]:
        assert losses == runs[0][0]
        assert all(map(torch.equal, found, runs[0][1]))


def test_a_batch_moves_to_the_device_whole(device):
    here = pack([BATCHES["a common prefix"]])
    there = here.to(device)
    pairs = {name: (getattr(there, name), getattr(here, name)) for name in
             ("token_ids", "positions", "predicting", "targets", "counts")}  # fmt: skip
    for name in ("numbers", "first"):
        pairs[name] = getattr(there.attention, name), getattr(here.attention, name)
    for name, (moved, stayed) in pairs.items():
        assert moved.device.type == device.type, name
        assert torch.equal(moved.cpu(), stayed), name


@pytest.mark.parametrize("kind", ENGINES)
def test_in_bf16_losses_and_gradients_are_near(device, kind):
    """Weights and their gradients stay in float32."""
    batch = BATCHES["a common prefix"]
    engine = ENGINES[kind](random_model(1, CONFIG).to(device), bf16=True)
    for _ in range(3):
        engine.model.zero_grad()
        engine.backward(*batch)
    expected, gradients = exact(batch)
    [loss] = engine.losses([batch])
    assert loss == pytest.approx(expected, abs=0.05)
    assert loss != pytest.approx(expected, abs=1e-6)
    for name in ("out_head.weight", "trf_blocks.0.att.W_value.weight", "tok_emb.weight"):
        found = engine.model.get_parameter(name).grad
        assert found.dtype == torch.float32
        whole = gradients[name].float()
        assert (found.cpu() - whole).norm() < 0.05 * whole.norm()


@pytest.mark.parametrize("kind", ENGINES)
def test_in_bf16_the_loss_is_that_of_its_logits_in_float32(device, kind):
    inputs, targets = BATCHES["a single entry"]  # alone, every position is computed once
    model = random_model(1, CONFIG).to(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        logits = model(inputs.to(device)).flatten(0, 1).cpu()
    assert logits.dtype == torch.bfloat16
    expected = torch.nn.functional.cross_entropy(logits.double(), targets.flatten()).item()
    [loss] = ENGINES[kind](model, bf16=True).losses([(inputs, targets)])
    assert loss == pytest.approx(expected, abs=2e-4)


def test_adapters_merged_are_adapters_unmerged(device):
    """Losses; and the addition is computed exactly, whatever the precision of the device."""
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")
    model, twin = random_model(1, CONFIG), random_model(1, CONFIG)
    for one in (model, twin):
        add_adapters(one, Lora(rank=4, alpha=8), 1)
        random = torch.Generator().manual_seed(1)
        for name, weight in trainable_state(one).items():
            if name.endswith(".B"):
                weight.normal_(0, 0.3, generator=random)
    model.to(device)
    merge_adapters(model)
    merge_adapters(twin)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight.cpu(), twin.state_dict()[name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ENGINES)
def test_only_adapters_have_gradients(device, kind):
    torch.manual_seed(1)
    model = random_model(1, CONFIG)
    add_adapters(model, Lora(rank=4, alpha=8), 1)
    engine = ENGINES[kind](model.to(device))
    engine.backward(*BATCHES["a common prefix"])
    trained = trainable_state(model)
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == (name in trained), name

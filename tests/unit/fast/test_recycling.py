"""Large gradients lie where those of the step before lay, and are the same gradients."""

import pytest
import torch

from tests.support.models import random_model
from workflow.lib.fast import linear, recycling
from workflow.lib.fast.recycling import Embedding
from workflow.lib.settings.recipe import Training
from workflow.lib.training.optimizer import make_optimizer, update
from workflow.lib.training.train import loss_parts

BATCHES = [torch.randint(96, (4, 9), generator=torch.Generator().manual_seed(n)) for n in range(3)]


@pytest.fixture(autouse=True)
def _large_are_all(monkeypatch):
    monkeypatch.setattr(linear, "LARGE", 0)
    monkeypatch.setattr(recycling, "LARGE", 0)


def trained(parts=1, clip_norm=None):
    """Weights after three steps, and where the gradients of two of them lay in each."""
    model, training = random_model(3), Training(learning_rate=1e-3, clip_norm=clip_norm)
    optimizer = make_optimizer(model, training)
    places = []
    for step, batch in enumerate(BATCHES):
        for part in loss_parts(model, batch[:, :-1], batch[:, 1:], parts):
            part.backward()
        large = (model.tok_emb.weight, model.out_head.weight)
        places.append([weight.grad.data_ptr() for weight in large])
        update(optimizer, training, step, len(BATCHES))
        assert all(weight.grad is None for weight in large)
    return {name: weight.detach() for name, weight in model.named_parameters()}, places


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_steps_are_those_of_new_memory(monkeypatch, parts, clip_norm):
    recycled, places = trained(parts, clip_norm)
    assert places[0] == places[1] == places[2]
    monkeypatch.setattr(recycling, "LARGE", 2**60)
    monkeypatch.setattr(linear, "LARGE", 2**60)
    expected, _ = trained(parts, clip_norm)
    for name, weight in recycled.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=2e-5, msg=name)


def test_the_gradient_of_an_embedding_adds_up_repeated_numbers():
    numbers, upstream = torch.tensor([[3, 1, 3], [3, 0, 1]]), torch.randn(2, 3, 4)
    ours, theirs = Embedding(5, 4), torch.nn.Embedding(5, 4)
    theirs.load_state_dict(ours.state_dict())
    ours.weight.spare = torch.full((5, 4), torch.nan)  # what memory held before
    for layer in (ours, theirs):
        layer(numbers).backward(upstream)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert torch.equal(ours(numbers), theirs(numbers))


def test_memory_that_nobody_asks_for_is_let_go():
    """As of an output head that torch multiplies itself."""
    layer = torch.nn.Linear(4, 5)
    layer(torch.ones(2, 4)).sum().backward()
    recycling.keep_gradients([layer.weight])
    assert not hasattr(layer.weight, "spare")


def test_gradients_that_are_not_large_are_let_go(monkeypatch):
    monkeypatch.setattr(recycling, "LARGE", 2**60)
    layer = Embedding(5, 4)
    layer(torch.tensor([1])).sum().backward()
    recycling.keep_gradients([layer.weight])
    assert not hasattr(layer.weight, "spare")

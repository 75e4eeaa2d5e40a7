"""Layers for a CPU are torch's layers, and large gradients lie where those before them lay."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from tests.support.models import random_model
from tests.support.training_case import update
from workflow.lib.fast import cpu_kernels, products
from workflow.lib.fast.cpu_kernels import FastEmbedding, recycle_gradients, speed_up
from workflow.lib.fast.head import FastHead
from workflow.lib.fast.products import FastLinear, onednn_works
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.recipe import Training
from workflow.lib.training.optimizer import make_optimizer

CPU = torch.device("cpu")
BATCHES = [torch.randint(96, (4, 9), generator=torch.Generator().manual_seed(n)) for n in range(3)]

needs_onednn = pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="oneDNN is for x86"
)


@pytest.fixture(autouse=True)
def _all_layers_are_large(monkeypatch):
    monkeypatch.setattr(cpu_kernels, "ONEDNN_WEIGHTS", 0)
    monkeypatch.setattr(products, "MKL_TERMS", 64)


@pytest.fixture
def _all_gradients_are_recycled(monkeypatch):
    monkeypatch.setattr(cpu_kernels, "RECYCLED_WEIGHTS", 0)


def _results(layer, x, upstream):
    """Output and all gradients."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(upstream)
    return [y.detach(), x.grad, *(weight.grad for weight in layer.parameters())]


def _double(layer):
    twin = nn.Linear(
        layer.in_features, layer.out_features, layer.bias is not None, dtype=torch.float64
    )
    twin.load_state_dict(layer.state_dict())
    return twin.requires_grad_(layer.weight.requires_grad)


@needs_onednn
@pytest.mark.parametrize("shape", [(7,), (2, 5), (1, 1), (3, 1, 4)])
@pytest.mark.parametrize("outputs", [24, 96])  # below and above MKL_TERMS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_values_and_gradients_are_those_of_a_linear_layer(
    monkeypatch, shape, outputs, bias, frozen, gradients
):
    monkeypatch.setattr(products, "onednn_for_gradients", lambda: gradients)
    torch.manual_seed(0)
    layer = FastLinear(nn.Linear(16, outputs, bias)).requires_grad_(not frozen)
    x, upstream = torch.randn(*shape, 16), torch.randn(*shape, outputs)
    assert type(layer(x.requires_grad_()).grad_fn).__name__ == "_OneDNNLinearBackward"
    expected = _results(_double(layer), x.detach().double(), upstream.double())
    for ours, exact in zip(_results(layer, x.detach(), upstream), expected, strict=True):
        assert (ours is None) == (exact is None)
        if exact is not None:
            torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize(("capability", "count"), [("AVX2", 1), ("AVX512", 3)])
def test_the_library_that_is_faster_with_these_instructions(monkeypatch, capability, count):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    layer, product = FastLinear(nn.Linear(16, 24)), Mock(wraps=products.product)
    monkeypatch.setattr(products, "product", product)
    layer(torch.randn(3, 16, requires_grad=True)).sum().backward()
    assert product.call_count == count


@needs_onednn
def test_gradients_of_what_is_not_contiguous():
    layer = FastLinear(nn.Linear(16, 24))
    x, upstream = torch.randn(16, 9).T, torch.randn(24, 9).T
    expected = _results(_double(layer), x.double(), upstream.double())
    for ours, exact in zip(_results(layer, x, upstream), expected, strict=True):
        torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-5)


@needs_onednn
def test_twice_the_same_bits():
    layer = FastLinear(nn.Linear(768, 3072))
    x, upstream = torch.randn(270, 768), torch.randn(270, 3072)
    first, second = _results(layer, x, upstream), _results(layer, x, upstream)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@needs_onednn
def test_torch_keeps_what_onednn_is_not_for():
    layer, x = FastLinear(nn.Linear(16, 24)), torch.randn(3, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x.double()).dtype == torch.float64
    assert layer.float()(x[:0]).shape == (0, 24)


@needs_onednn
def test_a_model_keeps_its_weights_names_and_random_numbers():
    model = random_model(3)
    before, names = dict(model.named_parameters()), list(model.state_dict())
    random = torch.get_rng_state()
    speed_up(model, CPU)
    assert sum(isinstance(part, FastLinear) for part in model.modules()) == 6 * 3 + 1
    assert list(model.state_dict()) == names
    assert all(weight is before[name] for name, weight in model.named_parameters())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.fixture
def probe_again():
    onednn_works.cache_clear()
    yield
    onednn_works.cache_clear()


OPERATIONS = {
    "missing": SimpleNamespace(),
    "called differently": SimpleNamespace(_linear_pointwise=lambda x, weight: x @ weight.T),
    "different": SimpleNamespace(_linear_pointwise=lambda x, weight, *_: x @ weight.T),
    "another shape": SimpleNamespace(_linear_pointwise=lambda x, weight, *_: weight @ x.T),
}


@pytest.mark.usefixtures("probe_again")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_linear_layers_stay_torchs_where_the_private_operation_changed(monkeypatch, operation):
    monkeypatch.setattr(torch.ops, "mkldnn", OPERATIONS[operation])
    _assert_linear_layers_stay()


@pytest.mark.usefixtures("probe_again")
@pytest.mark.parametrize(
    ("name", "answer"), [("mkldnn.is_available", False), ("cpu.get_cpu_capability", "DEFAULT")]
)
def test_linear_layers_stay_torchs_where_onednn_is_not_made_for_the_processor(
    monkeypatch, name, answer
):
    monkeypatch.setattr(f"torch.backends.{name}", lambda: answer)
    _assert_linear_layers_stay()


def _assert_linear_layers_stay():
    model = random_model(3)
    speed_up(model, CPU)
    assert not any(isinstance(part, FastLinear) for part in model.modules())
    assert type(model.out_head(torch.ones(3, 48)).grad_fn).__name__ == "MmBackward0"


def test_small_layers_and_other_devices_stay_torchs(monkeypatch):
    model = random_model(3)
    speed_up(model, torch.device("cuda"))
    monkeypatch.undo()  # small is small again
    speed_up(model, CPU)
    assert not any(isinstance(part, FastLinear | FastEmbedding) for part in model.modules())


def trained(micro_batches=1, clip_norm=None):
    """Weights after three steps, and where the gradients of two of them lay in each."""
    model, training = random_model(3), Training(learning_rate=1e-3, clip_norm=clip_norm)
    speed_up(model, CPU)
    optimizer = make_optimizer(model, training)
    recycle_gradients(model, optimizer)
    places = []
    for step, batch in enumerate(BATCHES):
        Engine(model, micro_batches=micro_batches).backward(batch[:, :-1], batch[:, 1:])
        large = (model.tok_emb.weight, model.out_head.weight)
        places.append([weight.grad.data_ptr() for weight in large])
        update(model, optimizer, training, step, len(BATCHES))
        assert all(weight.grad is None for weight in large)
    return {name: weight.detach() for name, weight in model.named_parameters()}, places


@needs_onednn
@pytest.mark.usefixtures("_all_gradients_are_recycled")
@pytest.mark.parametrize("micro_batches", [1, 4])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_steps_are_those_of_new_memory(monkeypatch, micro_batches, clip_norm):
    recycled, places = trained(micro_batches, clip_norm)
    assert places[0] == places[1] == places[2]
    monkeypatch.undo()  # small is small again
    expected, _ = trained(micro_batches, clip_norm)
    for name, weight in recycled.items():
        if name.endswith("W_key.bias"):  # its true gradient is zero: AdamW steps by rounding
            continue
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=2e-5, msg=name)


def test_the_gradient_of_an_embedding_adds_up_repeated_numbers():
    token_ids, upstream = torch.tensor([[3, 1, 3], [3, 0, 1]]), torch.randn(2, 3, 4)
    theirs = nn.Embedding(5, 4)
    ours = FastEmbedding(nn.Embedding(5, 4))
    ours.load_state_dict(theirs.state_dict())
    ours.memory.buffer = torch.full((5, 4), torch.nan)  # what memory held before
    for layer in (ours, theirs):
        layer(token_ids).backward(upstream)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert torch.equal(ours(token_ids), theirs(token_ids))


def stepped(layer):
    """A layer after one step of an optimizer that recycles gradients."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    recycle_gradients(layer, optimizer)
    layer(
        torch.tensor([1]) if isinstance(layer, nn.Embedding) else torch.ones(2, 4)
    ).sum().backward()
    optimizer.step()
    return layer


@pytest.mark.usefixtures("_all_gradients_are_recycled")
def test_the_gradient_of_a_layer_that_torch_computes_stays():
    assert stepped(nn.Linear(4, 5)).weight.grad is not None


@needs_onednn
@pytest.mark.usefixtures("_all_gradients_are_recycled")
def test_no_memory_is_kept_for_gradients_that_autocast_puts_elsewhere():
    layer = FastHead(nn.Linear(4, 5))
    with torch.autocast("cpu", torch.bfloat16):
        stepped(layer)
    assert layer.memory.buffer is None
    assert stepped(layer).memory.buffer is not None

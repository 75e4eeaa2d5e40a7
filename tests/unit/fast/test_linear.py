"""Linear layers by way of oneDNN are linear layers."""

import pytest
import torch

from workflow.lib.fast import linear
from workflow.lib.fast.linear import LARGE, Linear

pytestmark = pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="oneDNN is for x86"
)


@pytest.fixture(autouse=True)
def _onednn_for_all(monkeypatch):
    monkeypatch.setattr(linear, "LARGE", 0)
    monkeypatch.setattr(linear, "LONG", 64)


def _results(layer, x, upstream):
    """Output and all gradients."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(upstream)
    return [y.detach(), x.grad, *(weight.grad for weight in layer.parameters())]


def _double(layer):
    twin = torch.nn.Linear(
        layer.in_features, layer.out_features, layer.bias is not None, dtype=torch.float64
    )
    twin.load_state_dict(layer.state_dict())
    return twin.requires_grad_(layer.weight.requires_grad)


@pytest.mark.parametrize("shape", [(7,), (2, 5), (1, 1), (3, 1, 4)])
@pytest.mark.parametrize("outputs", [24, 96])  # below and above LONG
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_and_gradients_are_those_of_a_linear_layer(shape, outputs, bias, frozen):
    torch.manual_seed(0)
    layer = Linear(16, outputs, bias).requires_grad_(not frozen)
    x, upstream = torch.randn(*shape, 16), torch.randn(*shape, outputs)
    assert type(layer(x.requires_grad_()).grad_fn).__name__ == "_OneDNNLinearBackward"
    expected = _results(_double(layer), x.detach().double(), upstream.double())
    for ours, exact in zip(_results(layer, x.detach(), upstream), expected, strict=True):
        assert (ours is None) == (exact is None)
        if exact is not None:
            torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-5)


def test_gradients_of_what_is_not_contiguous():
    layer = Linear(16, 24)
    x, upstream = torch.randn(16, 9).T, torch.randn(24, 9).T
    expected = _results(_double(layer), x.double(), upstream.double())
    for ours, exact in zip(_results(layer, x, upstream), expected, strict=True):
        torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-5)


def test_twice_the_same_bits():
    layer = Linear(768, 3072)
    x, upstream = torch.randn(270, 768), torch.randn(270, 3072)
    first, second = _results(layer, x, upstream), _results(layer, x, upstream)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_torch_keeps_what_onednn_is_not_for(monkeypatch):
    layer, x = Linear(16, 24), torch.randn(3, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x.double()).dtype == torch.float64
    assert layer.float()(x[:0]).shape == (0, 24)
    for name, answer in (("mkldnn.is_available", False), ("cpu.get_cpu_capability", "DEFAULT")):
        with monkeypatch.context() as patch:
            patch.setattr(f"torch.backends.{name}", lambda answer=answer: answer)
            assert type(layer(x).grad_fn).__name__ == "AddmmBackward0"
    monkeypatch.setattr(linear, "LARGE", LARGE)
    assert type(layer(x).grad_fn).__name__ == "AddmmBackward0"

"""Cross-entropies of the output head are torch's, though never all logits are in one place."""

import weakref

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from workflow.lib.fast import head as module
from workflow.lib.fast.head import FastHead, cross_entropies

ROWS, WIDTH, TOKENS = 6, 16, 24
TARGETS = torch.tensor([0, 9, 10, 19, 23, 10])  # at both ends of parts of 10, and one twice

pytestmark = pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="oneDNN is for x86"
)


@pytest.fixture(autouse=True)
def _parts_are_small(monkeypatch):
    monkeypatch.setattr(module, "PART", 10)


def results(head, states, upstream):
    """Cross-entropies and the gradients of states and weight."""
    states = states.clone().requires_grad_()
    head.zero_grad()
    losses = cross_entropies(head, states, TARGETS)
    losses.backward(upstream)
    return losses.detach(), states.grad, head.weight.grad


def double(head):
    twin = nn.Linear(WIDTH, TOKENS, bias=False, dtype=torch.float64)
    twin.load_state_dict(head.state_dict())
    return twin.requires_grad_(head.weight.requires_grad)


def assert_close(head, states, upstream, rtol=1e-5, atol=1e-6):
    expected = results(double(head), states.double(), upstream.double())
    for ours, exact in zip(results(head, states, upstream), expected, strict=True):
        assert (ours is None) == (exact is None)
        if exact is not None:
            torch.testing.assert_close(ours, exact.float(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("part", [1, 10, 24, 100])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("onednn", [True, False])
def test_values_and_gradients_are_torchs(monkeypatch, part, frozen, onednn):
    monkeypatch.setattr(module, "PART", part)
    monkeypatch.setattr(module, "onednn_for_gradients", lambda: onednn)
    torch.manual_seed(0)
    head = FastHead(nn.Linear(WIDTH, TOKENS, bias=False)).requires_grad_(not frozen)
    states, upstream = torch.randn(ROWS, WIDTH), torch.randn(ROWS)
    losses = cross_entropies(head, states.requires_grad_(), TARGETS)
    assert type(losses.grad_fn).__name__ == "_CrossEntropiesBackward"
    assert_close(head, states.detach(), upstream)


def test_states_without_a_gradient():
    torch.manual_seed(0)
    head, states = FastHead(nn.Linear(WIDTH, TOKENS, bias=False)), torch.randn(ROWS, WIDTH)
    twin = double(head)
    for each, given in ((head, states), (twin, states.double())):
        cross_entropies(each, given, TARGETS).sum().backward()
    torch.testing.assert_close(head.weight.grad, twin.weight.grad.float(), rtol=1e-5, atol=1e-6)


def test_predictions_that_are_certain_and_logits_that_are_large():
    """A small loss keeps its digits; exp of a large logit would overflow."""
    torch.manual_seed(0)
    head = FastHead(nn.Linear(WIDTH, TOKENS, bias=False))
    with torch.no_grad():
        head.weight.zero_()[range(TOKENS), [n % WIDTH for n in range(TOKENS)]] = 1.0
    states = torch.zeros(ROWS, WIDTH)
    states[range(ROWS), TARGETS % WIDTH] = torch.tensor([12.0, 14.0, 9.0, 100.0, 200.0, -200.0])
    assert_close(head, states, torch.ones(ROWS), rtol=2e-5, atol=2e-5)
    losses = cross_entropies(head, states, TARGETS)
    assert (losses >= 0).all()
    assert 0 < losses[1] < 1e-4  # 9 + 16 is not a token, so that 14 stands alone


def test_what_is_not_a_number_stays_that():
    head = FastHead(nn.Linear(WIDTH, TOKENS, bias=False))
    states = torch.zeros(ROWS, WIDTH)
    states[2] = torch.nan
    assert cross_entropies(head, states, TARGETS).isnan().tolist() == [n == 2 for n in range(ROWS)]


def test_twice_the_same_bits():
    head = FastHead(nn.Linear(WIDTH, TOKENS, bias=False))
    states, upstream = torch.randn(ROWS, WIDTH), torch.randn(ROWS)
    first, second = results(head, states, upstream), results(head, states, upstream)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_a_gradient_only_one_part_is_in_memory(monkeypatch):
    alive, made = [], []

    def watched(x, weight, product=module.product):
        alive.append(sum(part() is not None for part in made))
        found = product(x, weight)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(module, "product", watched)
    head, states = FastHead(nn.Linear(WIDTH, TOKENS, bias=False)), torch.randn(ROWS, WIDTH)
    with torch.inference_mode():
        losses = cross_entropies(head, states, TARGETS)
    assert len(alive) == 3
    assert max(alive) <= 1  # the last one, until its name is given to the next
    torch.testing.assert_close(losses, cross_entropies(head, states, TARGETS).detach())


def test_torch_computes_other_heads_and_precisions():
    torch.manual_seed(0)
    states = torch.randn(ROWS, WIDTH)
    with_bias, plain = nn.Linear(WIDTH, TOKENS), nn.Linear(WIDTH, TOKENS, bias=False)
    for head in (with_bias, plain, FastHead(with_bias)):
        expected = cross_entropy(head(states), TARGETS, reduction="none")
        assert torch.equal(cross_entropies(head, states, TARGETS), expected)
    with torch.autocast("cpu", torch.bfloat16):
        expected = cross_entropy(plain(states), TARGETS, reduction="none")
        assert torch.equal(cross_entropies(FastHead(plain), states, TARGETS), expected)

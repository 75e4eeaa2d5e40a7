"""An engine computes the chapter's loss, packed or padded, in one piece or several."""

import pytest
import torch

from tests.support.models import CONFIG, END, random_model
from tests.support.oracle import collate_textbook, logits_of
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.parallel import engine as module
from workflow.lib.parallel.engine import Engine

SEQUENCES = [[1, 2, 3, 4, 5, 6], [1, 2, 9], [1, 2, 3, 7, 7], [8]]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("micro_batches", [1, 3])
def test_losses_and_gradients_are_the_textbooks(packed, micro_batches):
    model = random_model(5).double()
    batch = collate_textbook(SEQUENCES, END)
    logits = logits_of(model, batch[0]).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, batch[1].flatten())
    expected = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    engine = Engine(model, micro_batches=micro_batches, packed=packed)
    assert engine.losses([batch, batch]) == pytest.approx([loss.item()] * 2, rel=1e-12)
    engine.backward(*batch)
    for weight, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("packed", [True, False])
def test_the_loss_of_bfloat16_logits_is_computed_in_float32(packed):
    """Autocast does so itself on a CPU, but not on CUDA: the logits there are in bfloat16."""
    model = random_model(5)
    model.out_head.register_forward_hook(lambda _, __, logits: logits.bfloat16())
    inputs, targets = collate_textbook(SEQUENCES, END)
    logits = model(inputs).flatten(0, 1)
    assert logits.dtype == torch.bfloat16
    expected = torch.nn.functional.cross_entropy(logits.double(), targets.flatten()).item()
    engine = Engine(model, packed=packed)
    assert engine.losses([(inputs, targets)]) == [pytest.approx(expected, rel=1e-5)]


def test_dropout_is_drawn_for_every_padded_position(monkeypatch):
    """With dropout in training the padded batch is computed, in evaluation the packed one."""
    engine = Engine(random_model(5, GPTConfig(**vars(CONFIG) | {"drop_rate": 0.1})))
    batch = collate_textbook([[1, 2, 3], [1, 2, 4, 5]], END)
    monkeypatch.setattr(module, "packed_losses", lambda *_: pytest.fail("packed"))
    engine.backward(*batch)
    with pytest.raises(pytest.fail.Exception, match="packed"):
        engine.losses([batch])


def test_a_padded_engine_computes_every_position(monkeypatch):
    engine = Engine(random_model(5), packed=False)
    monkeypatch.setattr(module, "packed_losses", lambda *_: pytest.fail("packed"))
    seen, forward = [], engine.model.forward
    monkeypatch.setattr(engine.model, "forward", lambda x: seen.append(x.shape) or forward(x))
    batch = collate_textbook(SEQUENCES, END)
    engine.backward(*batch)
    assert seen == [batch[0].shape]

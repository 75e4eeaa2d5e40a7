"""A packed batch has the loss and every gradient of the padded one, whatever the batch."""

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.models import random_model
from tests.support.oracle import collate_textbook, logits_of
from workflow.lib.fast.packing import pack, packed_loss
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.tokens.collate import IGNORE_INDEX, collate

CONFIG = GPTConfig(vocab_size=11, context_length=16, emb_dim=12, n_heads=2, n_layers=2)
END = 10
# In float64, so that a wrong term cannot hide behind rounding.
MODEL = random_model(5, CONFIG).double()

tokens = st.lists(st.integers(0, 9), max_size=12)


@st.composite
def batches(draw):
    """Sequences with or without a common beginning, some no longer than it; masked prompts."""
    prefix = draw(tokens)
    tails = draw(st.lists(tokens, min_size=1, max_size=5))
    sequences = [prefix + tail for tail in tails if prefix + tail]
    assume(sequences)
    starts = [draw(st.integers(0, len(s))) for s in sequences] if draw(st.booleans()) else None
    return sequences, draw(st.integers(1, 16)), starts


def gradients_of(loss):
    found = torch.autograd.grad(loss, list(MODEL.parameters()), materialize_grads=True)
    return dict(zip((name for name, _ in MODEL.named_parameters()), found, strict=True))


@settings(max_examples=150, deadline=None)
@given(batches())
def test_loss_and_every_gradient_are_the_padded_batchs(batch):
    sequences, max_length, starts = batch
    inputs, targets = collate_textbook(sequences, END, max_length, starts)
    assume((targets != IGNORE_INDEX).any())
    logits = logits_of(MODEL, inputs)
    padded = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    packed = packed_loss(MODEL, inputs, targets) / (targets != IGNORE_INDEX).sum()
    torch.testing.assert_close(packed, padded, atol=1e-12, rtol=1e-12)
    expected = gradients_of(padded)
    for name, gradient in gradients_of(packed).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-11, rtol=1e-9, msg=name)


def test_each_distinct_position_is_computed_once():
    sequences = [[1, 2, 3, 4], [1, 2, 3, 5, 6, 7], [1, 2, 3]]
    batch = pack(*collate(sequences, END))
    assert batch.token_ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert batch.positions.tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert (batch.attention.prefix, batch.attention.tails) == (3, [1, 3, 0])
    # The third position predicts 4, 5 and the end, the first two the same thing three times.
    pairs = zip(batch.predicting.tolist(), batch.targets.tolist(), strict=True)
    assert dict(zip(pairs, batch.counts.tolist(), strict=True)) == {
        (0, 2): 3, (1, 3): 3, (2, 4): 1, (2, 5): 1, (2, END): 1,
        (3, END): 1, (4, 6): 1, (5, 7): 1, (6, END): 1,
    }  # fmt: skip


def test_masked_prompts_leave_the_head_out():
    """Only what predicts a token of a response, or the end, reaches the output head."""
    batch = pack(*collate([[1, 2, 3, 4], [1, 2, 5, 6, 7]], END, response_starts=[3, 3]))
    assert len(batch.token_ids) == 2 + 2 + 3
    assert batch.predicting.tolist() == [2, 3, 4, 5, 6]

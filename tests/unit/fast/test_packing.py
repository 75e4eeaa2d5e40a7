"""A packed batch has the loss and every gradient of the padded one, whatever the batch."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence

from tests.support.oracle import collate_textbook, logits_of
from tests.support.packed_case import END, MODEL, batches, gradients_of
from workflow.lib.fast import packing
from workflow.lib.fast.packing import pack, packed_losses, share_beginnings
from workflow.lib.tokens.collate import IGNORE_INDEX, collate


@settings(max_examples=150, deadline=None)
@given(batches())
def test_loss_and_every_gradient_are_the_padded_batchs(batch):
    sequences, max_length, starts = batch
    inputs, targets = collate_textbook(sequences, END, max_length, starts)
    assume((targets != IGNORE_INDEX).any())
    logits = logits_of(MODEL, inputs)
    padded = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    [packed] = packed_losses(MODEL, [(inputs, targets)]) / (targets != IGNORE_INDEX).sum()
    torch.testing.assert_close(packed, padded, atol=1e-12, rtol=1e-12)
    expected = gradients_of(padded)
    for name, gradient in gradients_of(packed).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-11, rtol=1e-9, msg=name)


@settings(max_examples=100, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=4), st.integers(1, 5))
def test_losses_of_batches_computed_together_are_those_of_each(several, rows):
    padded = [collate_textbook(sequences, END, most, starts) for sequences, most, starts in several]
    assume(all((targets != IGNORE_INDEX).any() for _, targets in padded))
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "HEAD_ROWS", rows)
        together = packed_losses(MODEL, padded)
        apart = torch.cat([packed_losses(MODEL, [batch]) for batch in padded])
    torch.testing.assert_close(together, apart, atol=1e-12, rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=8))
def test_positions_are_one_for_each_distinct_beginning(sequences):
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    tokens = pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
    found = share_beginnings(tokens, lengths)
    numbers = {}
    for row, sequence in zip(found.numbers.tolist(), sequences, strict=True):
        for place in range(len(sequence)):
            beginning = tuple(sequence[: place + 1])
            assert numbers.setdefault(beginning, row[place]) == row[place]
        assert row[len(sequence) :] == [0] * (tokens.shape[1] - len(sequence))
    assert sorted(numbers.values()) == [*range(len(numbers))]
    assert torch.equal(found.numbers.flatten()[found.first], torch.arange(len(numbers)))


def test_each_distinct_position_is_computed_once():
    batch = pack([collate([[1, 2, 3, 5, 6, 7], [1, 2, 3]], END), collate([[1, 2, 3, 5, 4]], END)])
    assert batch.token_ids.tolist() == [1, 2, 3, 5, 4, 6, 7]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 4, 5]
    assert batch.attention.numbers.tolist() == [
        [0, 1, 2, 3, 5, 6], [0, 1, 2, 0, 0, 0], [0, 1, 2, 3, 4, 0]
    ]  # fmt: skip
    # The first two positions predict the same thing twice in the first batch, once in the second.
    pairs = zip(batch.predicting.tolist(), batch.targets.tolist(), strict=True)
    assert dict(zip(pairs, batch.counts.T.tolist(), strict=True)) == {
        (0, 2): [2, 1], (1, 3): [2, 1], (2, 5): [1, 1], (2, END): [1, 0],
        (3, 6): [1, 0], (3, 4): [0, 1], (4, END): [0, 1], (5, 7): [1, 0], (6, END): [1, 0],
    }  # fmt: skip


def test_masked_prompts_leave_the_head_out():
    """Only what predicts a token of a response, or the end, reaches the output head."""
    batch = pack([collate([[1, 2, 3, 4], [1, 2, 5, 6, 7]], END, response_starts=[3, 3])])
    assert len(batch.token_ids) == 2 + 2 + 3
    assert batch.predicting.tolist() == [2, 3, 4, 5, 6]

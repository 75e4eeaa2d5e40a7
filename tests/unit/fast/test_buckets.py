"""A batch filled up to its bucket has the loss and every gradient of the packed one."""

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.oracle import collate_textbook
from tests.support.packed_case import END, MODEL, batches, gradients_of
from workflow.lib.fast import buckets
from workflow.lib.fast.buckets import BucketedBatch, bucketed_losses, fill_up, rounded_up
from workflow.lib.fast.packing import packed_losses
from workflow.lib.tokens.collate import IGNORE_INDEX

STEPS = st.tuples(st.integers(4, 24), st.integers(1, 20), st.integers(1, 9))


@settings(max_examples=150, deadline=None)
@given(batches(), STEPS)
def test_loss_and_every_gradient_are_the_packed_batchs(batch, steps):
    sequences, max_length, starts = batch
    padded = collate_textbook(sequences, END, max_length, starts)
    assume((padded[1] != IGNORE_INDEX).any())
    [expected] = packed_losses(MODEL, [padded])
    gradients = gradients_of(expected)
    with pytest.MonkeyPatch.context() as patch:
        for name, step in zip(("POSITIONS", "PLACES", "SHARED"), steps, strict=True):
            patch.setattr(buckets, name, step)
        [loss] = bucketed_losses(MODEL, fill_up([padded], learns=True))
    torch.testing.assert_close(loss, expected, atol=1e-10, rtol=1e-12)
    for name, gradient in gradients_of(loss).items():
        torch.testing.assert_close(gradient, gradients[name], atol=1e-11, rtol=1e-9, msg=name)


@settings(max_examples=60, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=4))
def test_losses_of_batches_computed_together_are_those_of_each(several):
    padded = [collate_textbook(sequences, END, most, starts) for sequences, most, starts in several]
    assume(all((targets != IGNORE_INDEX).any() for _, targets in padded))
    with torch.no_grad():
        found = bucketed_losses(MODEL, fill_up(padded, learns=False))
        expected = packed_losses(MODEL, padded)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-12)


def test_sizes_are_few():
    """Steps are an eighth of a size at most, and batches of nearly the same size share one."""
    sizes = sorted({rounded_up(n, 64) for n in range(1, 8193)})
    assert sizes[:5] == [64, 128, 192, 256, 320]
    assert sizes[-3:] == [7168, 7680, 8192]
    assert all(larger - smaller <= max(64, smaller / 8) for smaller, larger in pairwise(sizes))
    assert len(sizes) == 40
    one, other = (
        fill_up([collate_textbook([[1, 2, 3, *range(4, 4 + n)], [1, 2, 9]], END)], learns=True)
        for n in (20, 25)
    )
    assert [x.shape for x in one.tensors] == [x.shape for x in other.tensors]


def test_a_batch_is_its_tensors():
    batch = fill_up([collate_textbook([[1, 2, 3], [1, 2, 4, 5]], END)], learns=True)
    again = BucketedBatch.of(batch.tensors)
    assert [x.shape for x in again.tensors] == [x.shape for x in batch.tensors]
    assert again._fields == batch._fields
    assert all(a is b for a, b in zip(again.tensors, batch.tensors, strict=True))
    assert again.rows is not batch.packed

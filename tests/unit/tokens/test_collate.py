"""Batches are those of listing 7.5."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor
from torch.nn.functional import cross_entropy

from tests.support.oracle import collate_textbook
from workflow.lib.tokens.collate import collate

END = 50256


def test_the_chapters_example():
    inputs, targets = collate([[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]], END)
    assert inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, END, END, END], [7, 8, 9, END, END]]
    assert targets.tolist() == [
        [1, 2, 3, 4, END],
        [6, END, -100, -100, -100],
        [8, 9, END, -100, -100],
    ]


def test_rows_are_cut_after_padding():
    inputs, targets = collate([[0, 1, 2, 3, 4], [5, 6]], END, max_length=3)
    assert inputs.tolist() == [[0, 1, 2], [5, 6, END]]
    assert targets.tolist() == [[1, 2, 3], [6, END, -100]]


def test_masking_leaves_header_and_answer():
    _, targets = collate([[0, 1, 2, 3, 4]], END, response_starts=[3])
    assert targets.tolist() == [[-100, -100, 3, 4, END]]


def test_the_chapters_losses():
    """Section 7.3: 1.1269, then 0.7936, then 1.1269 again once the third target is -100."""
    two = cross_entropy(tensor([[-1.0, 1.0], [-0.5, 1.5]]), tensor([0, 1]))
    logits = tensor([[-1.0, 1.0], [-0.5, 1.5], [-0.5, 1.5]])
    three = cross_entropy(logits, tensor([0, 1, 1]))
    ignored = cross_entropy(logits, tensor([0, 1, -100]))
    assert round(two.item(), 4) == 1.1269
    assert round(three.item(), 4) == 0.7936
    assert torch.equal(two, ignored)


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), min_size=1, max_size=5),
    st.none() | st.integers(1, 12),
    st.booleans(),
    st.data(),
)
def test_any_batch_equals_the_textbooks(batch, max_length, masked, data):
    """Token 9 stands for end-of-text, so that texts may hold it too."""
    starts = [data.draw(st.integers(0, len(entry))) for entry in batch] if masked else None
    ours = collate(batch, 9, max_length, starts)
    theirs = collate_textbook(batch, 9, max_length, starts)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)

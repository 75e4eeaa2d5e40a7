"""Batches of any kind for a tiny model in float64, in which no wrong term hides behind rounding."""

import torch
from hypothesis import assume
from hypothesis import strategies as st

from tests.support.models import random_model
from workflow.lib.model.gpt import GPTConfig

CONFIG = GPTConfig(vocab_size=11, context_length=16, emb_dim=12, n_heads=2, n_layers=2)
END = 10
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

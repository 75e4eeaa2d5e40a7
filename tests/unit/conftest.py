"""Fixtures that several folders of unit tests use."""

import pytest

from tests.support.paths import NANO
from tests.support.training_case import make_files
from workflow.lib.tokens.tokenizer import load_tokenizer


@pytest.fixture
def files(tmp_path):
    """Inputs of a finetuning on random weights and tokens, and where its outputs go."""
    return make_files(tmp_path)


@pytest.fixture(scope="session")
def tokenizer():
    """The small world's tokenizer."""
    return load_tokenizer(NANO)

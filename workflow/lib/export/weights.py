"""The chapter's weights and settings under the names and in the shapes of transformers' GPT-2."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.runtime.files import replacing
from workflow.lib.settings.recipe import Generation


def hf_tensors(model: GPTModel) -> dict[str, Tensor]:
    """Return all weights: dense layers as (in, out); queries, keys and values as one matrix.

    The output head is stored apart: the published GPT-2 shares it with the token embedding, but
    finetuning changed both.
    """
    state = model.state_dict()
    tensors = {
        "transformer.wte.weight": state["tok_emb.weight"],  # (V, D)
        "transformer.wpe.weight": state["pos_emb.weight"],  # (S, D)
        "transformer.ln_f.weight": state["final_norm.scale"],
        "transformer.ln_f.bias": state["final_norm.shift"],
        "lm_head.weight": state["out_head.weight"],  # (V, D)
    }
    for layer in range(model.config.n_layers):
        tensors |= _block_tensors(state, f"trf_blocks.{layer}", f"transformer.h.{layer}")
    return tensors


def _block_tensors(state: dict[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    """Return the weights of one transformer block."""
    tensors = {}
    for number in (1, 2):
        tensors[f"{theirs}.ln_{number}.weight"] = state[f"{ours}.norm{number}.scale"]
        tensors[f"{theirs}.ln_{number}.bias"] = state[f"{ours}.norm{number}.shift"]
    dense = {
        "attn.c_attn": ("att.W_query", "att.W_key", "att.W_value"),
        "attn.c_proj": ("att.out_proj",),
        "mlp.c_fc": ("ff.layers.0",),
        "mlp.c_proj": ("ff.layers.2",),
    }
    for name, layers in dense.items():
        weight = torch.cat([state[f"{ours}.{layer}.weight"] for layer in layers])  # (out, in)
        tensors[f"{theirs}.{name}.weight"] = weight.T
        tensors[f"{theirs}.{name}.bias"] = torch.cat([state[f"{ours}.{n}.bias"] for n in layers])
    return tensors


def write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; the format requires contiguous tensors."""
    with replacing(path) as unfinished:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, unfinished, metadata={"format": "pt"})


def hf_config(config: GPTConfig, end_of_text: int) -> dict[str, Any]:
    """Return config.json; llama.cpp's converter reads `n_ctx`, transformers `n_positions`."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_ctx": config.context_length,
        "n_embd": config.emb_dim,
        "n_head": config.n_heads,
        "n_layer": config.n_layers,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "initializer_range": 0.02,
        "attn_pdrop": config.drop_rate,
        "embd_pdrop": config.drop_rate,
        "resid_pdrop": config.drop_rate,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "tie_word_embeddings": False,
        "dtype": "float32",
        "torch_dtype": "float32",  # the key's name before transformers 5
        "use_cache": True,
    }


def hf_generation_config(generation: Generation, end_of_text: int) -> dict[str, Any]:
    """Return generation_config.json, the recipe's settings of generation.

    It holds no length, which in transformers would take precedence over that of
    lm-evaluation-harness.
    """
    settings: dict[str, Any] = {
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "do_sample": generation.temperature > 0,
    }
    if generation.temperature > 0:
        # Without top_k, transformers uses 50.
        settings |= {"temperature": generation.temperature, "top_k": generation.top_k or 0}
    return settings

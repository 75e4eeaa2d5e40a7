"""The model is GPT-2: the oracle and an independent implementation agree with it."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.support.models import CONFIG, random_model
from tests.support.oracle import logits_of
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.weights import load_trained_model, save_model
from workflow.lib.runtime.files import write_json


def as_transformers(model: GPTModel) -> GPT2LMHeadModel:
    """The same weights in transformers' GPT-2, whose dense layers are (in, out)."""
    c = model.config
    other = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c.vocab_size,
            n_positions=c.context_length,
            n_embd=c.emb_dim,
            n_layer=c.n_layers,
            n_head=c.n_heads,
            tie_word_embeddings=False,
        )
    ).eval()
    state = model.state_dict()
    theirs = {
        "transformer.wte.weight": state["tok_emb.weight"],
        "transformer.wpe.weight": state["pos_emb.weight"],
        "transformer.ln_f.weight": state["final_norm.scale"],
        "transformer.ln_f.bias": state["final_norm.shift"],
        "lm_head.weight": state["out_head.weight"],
    }
    for layer in range(c.n_layers):
        ours, block = f"trf_blocks.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            attention = [state[f"{ours}.att.W_{n}.{kind}"] for n in ("query", "key", "value")]
            dense = {
                "attn.c_attn": torch.cat(attention),
                "attn.c_proj": state[f"{ours}.att.out_proj.{kind}"],
                "mlp.c_fc": state[f"{ours}.ff.layers.0.{kind}"],
                "mlp.c_proj": state[f"{ours}.ff.layers.2.{kind}"],
            }
            for name, tensor in dense.items():
                theirs[f"{block}.{name}.{kind}"] = tensor.T if kind == "weight" else tensor
        for number in (1, 2):
            theirs[f"{block}.ln_{number}.weight"] = state[f"{ours}.norm{number}.scale"]
            theirs[f"{block}.ln_{number}.bias"] = state[f"{ours}.norm{number}.shift"]
    other.load_state_dict(theirs)
    return other


def test_logits_equal_those_of_transformers_gpt2():
    model = random_model()
    token_ids = torch.randint(97, (3, 32))
    with torch.no_grad():
        torch.testing.assert_close(
            model(token_ids), as_transformers(model)(token_ids).logits, atol=1e-4, rtol=1e-4
        )


def test_logits_equal_the_textbook_formulas():
    model = random_model()
    token_ids = torch.randint(97, (2, 17))
    with torch.no_grad():
        torch.testing.assert_close(model(token_ids), logits_of(model, token_ids))


def test_saved_weights_load_into_the_chapters_class_and_back(tmp_path):
    """The chapter's MultiHeadAttention also keeps a causal mask in its state dict."""
    model = random_model()
    save_model(model, tmp_path / "model.pth")
    state = torch.load(tmp_path / "model.pth", weights_only=True)
    masks = [name for name in state if name.endswith(".att.mask")]
    assert len(masks) == CONFIG.n_layers
    assert torch.equal(state[masks[0]], torch.triu(torch.ones(32, 32), diagonal=1))
    assert {n.split(".", 2)[2] for n in state if n.startswith("trf_blocks.0.")} == {
        f"{part}.{kind}"
        for part in ("att.W_query", "att.W_key", "att.W_value", "att.out_proj", "ff.layers.0",
                     "ff.layers.2")
        for kind in ("weight", "bias")
    } | {"att.mask", "norm1.scale", "norm1.shift", "norm2.scale", "norm2.shift"}  # fmt: skip
    write_json(tmp_path / "training.json", {"model": CONFIG.__dict__})
    again = load_trained_model(tmp_path / "model.pth", tmp_path / "training.json")
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        GPTConfig(vocab_size=10, context_length=8, emb_dim=10, n_heads=4, n_layers=1)

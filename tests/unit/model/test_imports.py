"""Base models from Hugging Face, the chapter's .pth and variants: the same model, or refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from tests.support.finished_variant import SHAPE, make_project
from tests.support.models import random_model
from workflow.lib.export.weights import hf_config, hf_tensors, write_weights
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.imports import import_weights
from workflow.lib.model.weights import load_base_model, save_model
from workflow.lib.runtime.errors import UserError

TINY = GPTConfig(vocab_size=61, context_length=16, emb_dim=24, n_heads=3, n_layers=2)
TOKENS = torch.randint(61, (3, 16), generator=torch.Generator().manual_seed(2))


def their_model(kind=GPT2LMHeadModel, **settings):
    """A GPT-2 of transformers with random weights, biases included."""
    shape = {"vocab_size": 61, "n_positions": 16, "n_embd": 24, "n_head": 3, "n_layer": 2}
    torch.manual_seed(1)
    model = kind(GPT2Config(**shape, **settings)).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def imported(form, *files, n_heads=None):
    output = files[0].parent / "imported/model.safetensors"
    import_weights(form, files, n_heads, output)
    return load_base_model(output).eval()


def same_weights(one: GPTModel, other: GPTModel):
    state = other.state_dict()
    return one.config == other.config and all(
        torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items()
    )


def saved(folder: Path, model, name: str = "model.safetensors", change=None):
    """Write the folder as transformers does, or its weights as torch does; return the two files."""
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    if change:
        change(tensors)
    if name.endswith(".bin"):
        torch.save(tensors, folder / name)
    else:
        save_file(tensors, folder / name, {"format": "pt"})
    return folder / "config.json", folder / name


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_hugging_face_gpt2_computes_the_same_logits(tmp_path, name, tied):
    theirs = their_model(tie_word_embeddings=tied)
    ours = imported("huggingface", *saved(tmp_path, theirs, name))
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)
    assert torch.equal(ours.out_head.weight, ours.tok_emb.weight) == tied
    assert ours.out_head.weight.data_ptr() != ours.tok_emb.weight.data_ptr()


def test_a_model_without_a_head_has_no_prefix_and_a_tied_head(tmp_path):
    theirs = their_model(GPT2Model)
    config, weights = saved(tmp_path, theirs)
    assert "wte.weight" in load_file(weights)
    ours = imported("huggingface", config, weights)
    with torch.no_grad():
        hidden = theirs(TOKENS).last_hidden_state
        expected = hidden @ theirs.wte.weight.T
        torch.testing.assert_close(ours(TOKENS), expected, atol=1e-5, rtol=1e-5)


def test_buffers_of_older_files_are_known(tmp_path):
    def add(tensors):
        for layer in range(2):
            tensors[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16).tril().bool()
            tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()

    theirs = their_model()
    ours = imported("huggingface", *saved(tmp_path, theirs, "pytorch_model.bin", add))
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_become_float32(tmp_path, dtype):
    theirs = their_model().to(dtype)
    ours = imported("huggingface", *saved(tmp_path, theirs))
    assert ours.tok_emb.weight.dtype == torch.float32
    assert torch.equal(ours.tok_emb.weight, theirs.transformer.wte.weight.float())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("transformer.h.1.mlp.c_fc.bias"), "h.1.mlp.c_fc.bias is missing"),
        (lambda t: t.update({"score.weight": torch.ones(2, 24)}), "score.weight is unexpected"),
        (
            lambda t: t.update({"transformer.wpe.weight": torch.ones(8, 24)}),
            r"wpe.weight has shape \(8, 24\), expected \(16, 24\)",
        ),
        (  # as a Linear layer has it: the right size, read wrongly without an error
            lambda t: t.update({"transformer.h.0.attn.c_attn.weight": torch.ones(72, 24)}),
            r"h.0.attn.c_attn.weight has shape \(72, 24\), expected \(24, 72\)",
        ),
        (
            lambda t: t["transformer.ln_f.bias"].fill_(float("nan")),
            "transformer.ln_f.bias holds NaN",
        ),
        (
            lambda t: t.update({"transformer.ln_f.bias": torch.ones(24, dtype=torch.int8)}),
            "transformer.ln_f.bias is of type torch.int8",
        ),
        (
            lambda t: t.update({"lm_head.weight": torch.ones(61, 24)}),
            "lm_head.weight differs from wte.weight",
        ),
        (lambda t: t.update({"wte.weight": torch.ones(61, 24)}), "holds tensors twice"),
    ],
    ids=["missing", "unexpected", "misshapen", "transposed", "nan", "integers", "head", "twice"],
)
def test_tensors_that_do_not_match_are_named(tmp_path, change, said):
    with pytest.raises(UserError, match=said) as raised:
        imported("huggingface", *saved(tmp_path, their_model(), change=change))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "imported/model.safetensors").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model_type", "llama", "model_type is 'llama'; only gpt2"),
        ("model_type", None, "model_type is None"),
        ("activation_function", "relu", "activation_function is 'relu'"),
        ("layer_norm_epsilon", 1e-6, "layer_norm_epsilon is 1e-06"),
        ("scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx is True"),
        ("scale_attn_weights", False, "scale_attn_weights is False"),
        ("n_inner", 50, "n_inner is 50"),
        ("n_head", 5, "not a multiple of n_head 5"),
        ("n_head", "three", "n_head: Input should be a valid integer"),
        ("n_layer", 3, "h.2.attn.c_attn.bias is missing"),
        ("tie_word_embeddings", False, "lm_head.weight is missing"),
    ],
)
def test_a_model_that_is_not_computed_here_is_refused(tmp_path, key, value, said):
    config, weights = saved(tmp_path, their_model())
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(UserError, match=said):
        imported("huggingface", config, weights)


def test_an_export_comes_back_with_the_same_weights(tmp_path):
    trained = random_model(3, TINY)
    write_weights(hf_tensors(trained), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(hf_config(TINY, 60)))
    ours = imported("huggingface", tmp_path / "config.json", tmp_path / "model.safetensors")
    assert same_weights(ours, trained)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize("beside_the_optimizer", [True, False])
def test_a_chapters_file_is_the_same_model(tmp_path, qkv_bias, beside_the_optimizer):
    trained = random_model(3, replace(TINY, qkv_bias=qkv_bias))
    path = tmp_path / "tiny-sft.pth"
    save_model(trained, path)
    if beside_the_optimizer:
        state = torch.load(path, weights_only=True)
        torch.save({"model_state_dict": state, "optimizer_state_dict": {"state": {}}}, path)
    assert same_weights(imported("chapter", path, n_heads=3), trained)


@pytest.mark.parametrize(
    ("change", "n_heads", "said"),
    [
        (lambda s: s, 5, "n_heads 5 does not divide the width 24"),
        (lambda s: s.pop("out_head.weight"), 3, "out_head.weight is missing"),
        (lambda s: s.pop("tok_emb.weight"), 3, "tok_emb.weight is missing"),
        (lambda s: s.update({"extra": torch.ones(2)}), 3, "extra is unexpected"),
        (
            lambda s: s.update({"trf_blocks.1.norm1.scale": torch.ones(25)}),
            3,
            r"trf_blocks.1.norm1.scale has shape \(25,\), expected \(24,\)",
        ),
        (lambda s: s.update({"epoch": 3}), 3, "should hold a state dict"),
    ],
    ids=["heads", "no head", "no embedding", "unexpected", "misshapen", "not only tensors"],
)
def test_a_chapters_file_that_does_not_match_is_refused(tmp_path, change, n_heads, said):
    path = tmp_path / "tiny-sft.pth"
    state = random_model(3, TINY).state_dict()
    change(state)
    torch.save(state, path)
    with pytest.raises(UserError, match=said):
        imported("chapter", path, n_heads=n_heads)


class Trap:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    "content", ["model", "cut", "pointer", "text", "empty"], ids=lambda name: name
)
@pytest.mark.parametrize("name", ["w.pth", "pytorch_model.bin", "model.safetensors"])
def test_a_file_that_holds_no_weights_is_one_line(tmp_path, capsys, name, content):
    path = tmp_path / name
    save_model(random_model(3, TINY), tmp_path / "whole.pth")
    if content == "model":
        torch.save({"tok_emb.weight": Trap()}, path)
    else:
        whole = (tmp_path / "whole.pth").read_bytes()
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
        path.write_bytes(
            {"cut": whole[:5000], "pointer": pointer, "text": b"{}", "empty": b""}[content]
        )
    with pytest.raises(UserError, match="no weights that can be read") as raised:
        imported("chapter", path, n_heads=3)
    assert "\n" not in str(raised.value)
    assert ("Git LFS" in str(raised.value)) == (content == "pointer")
    assert "executed" not in capsys.readouterr().out


def test_a_variant_trains_onward_from_its_weights(tmp_path):
    variant = make_project(tmp_path)
    ours = imported("variant", variant / "model.pth", variant / "training.json")
    assert same_weights(ours, random_model(6, SHAPE))


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": {"emb_dim": "x"}}, []])
def test_a_variant_without_its_shape_is_refused(tmp_path, content):
    save_model(random_model(3, TINY), tmp_path / "model.pth")
    (tmp_path / "training.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"training.json: "):
        imported("variant", tmp_path / "model.pth", tmp_path / "training.json")


def test_a_variant_of_another_shape_is_refused(tmp_path):
    save_model(random_model(3, TINY), tmp_path / "model.pth")
    shape = asdict(replace(TINY, context_length=32))
    (tmp_path / "training.json").write_text(json.dumps({"model": shape}))
    with pytest.raises(UserError, match=r"pos_emb.weight has shape \(16, 24\), expected \(32, 24"):
        imported("variant", tmp_path / "model.pth", tmp_path / "training.json")

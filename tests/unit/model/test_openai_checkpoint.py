"""TensorFlow checkpoints of OpenAI's layout: real ones, small, read whole or refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.models import random_model
from tests.support.paths import NANO
from tests.support.small_checkpoint import make_checkpoint
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.openai_checkpoint import convert_checkpoint, import_tensorflow
from workflow.lib.model.weights import load_base_model
from workflow.lib.runtime.errors import UserError

SHAPE = GPTConfig(vocab_size=130, context_length=24, emb_dim=24, n_heads=3, n_layers=2)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"), NANO, SHAPE, seed=4)


@pytest.fixture
def checkpoint(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "checkpoint"))


def rewrite(checkpoint, change):
    """Store the checkpoint again after `change` has had its variables."""
    tf = import_tensorflow()
    reader = tf.train.load_checkpoint(str(checkpoint / "model.ckpt"))
    variables = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
    change(variables)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in variables.items():
            tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(checkpoint / "model.ckpt"))


def test_converted_weights_are_the_models(checkpoint, tmp_path):
    convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    model = load_base_model(tmp_path / "model.safetensors")
    assert model.config == SHAPE
    expected = random_model(4, SHAPE)
    expected.out_head.weight = torch.nn.Parameter(expected.tok_emb.weight.detach().clone())
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_head_and_embedding_are_separate_once_loaded(checkpoint, tmp_path):
    convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    model = load_base_model(tmp_path / "model.safetensors")
    assert model.out_head.weight.data_ptr() != model.tok_emb.weight.data_ptr()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_half_precision_becomes_single(checkpoint, tmp_path):
    rewrite(checkpoint, lambda v: v.update({n: a.astype(np.float16) for n, a in v.items()}))
    convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    model = load_base_model(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    expected = random_model(4, SHAPE).tok_emb.weight.half().float()
    assert torch.equal(model.tok_emb.weight, expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.pop("model/h1/mlp/c_fc/w"), "model/h1/mlp/c_fc/w is missing"),
        (
            lambda v: v.update({"model/extra": np.zeros(3, np.float32)}),
            "model/extra is unexpected",
        ),
        (
            lambda v: v.update({"model/wpe": np.zeros((7, 24), np.float32)}),
            r"model/wpe has shape \(7, 24\), expected \(24, 24\)",
        ),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_variables_that_do_not_match_are_named(checkpoint, tmp_path, change, said):
    rewrite(checkpoint, change)
    with pytest.raises(UserError, match=said):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    assert list(tmp_path.glob("*model.safetensors*")) == []


@pytest.mark.parametrize("name", ["model.ckpt.data-00000-of-00001", "model.ckpt.index"])
def test_a_truncated_file_is_damaged(checkpoint, tmp_path, name):
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged or truncated") as raised:
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("hparams", "said"),
    [
        ({"n_vocab": 130, "n_ctx": 24, "n_embd": 24, "n_head": 3}, "n_layer: Field required"),
        ({"n_vocab": 130, "n_ctx": 24, "n_embd": 24, "n_head": 5, "n_layer": 2}, "not a multiple"),
        ({"n_vocab": "x", "n_ctx": 24, "n_embd": 24, "n_head": 3, "n_layer": 2}, "n_vocab"),
        ({"n_vocab": 130, "n_ctx": 24, "n_embd": 24, "n_head": 3, "n_layer": 3}, "is missing"),
    ],
)
def test_a_shape_that_is_none_is_refused(checkpoint, tmp_path, hparams, said):
    (checkpoint / "hparams.json").write_text(json.dumps(hparams))
    with pytest.raises(UserError, match=said):
        convert_checkpoint(checkpoint, tmp_path / "model.safetensors")

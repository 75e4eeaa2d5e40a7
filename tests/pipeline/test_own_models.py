"""Base models of one's own: trained onward, from Hugging Face's layout, from a chapter's file."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.support.file_server import FileServer
from tests.support.project import one_error

VARIANT = "results/tiny-a/quick"


def base(project, model):
    return load_file(project.kept(f"gpt2/{model}") / "model.safetensors")


def weights_of(project, variant):
    return torch.load(project.path(f"{variant}/model.pth"), weights_only=True)


def test_a_variant_is_trained_first_and_then_onward(project):
    """Its weights are an input: what trains it again trains the next one again."""
    model = {"url": VARIANT, "tokenizer": "small-world"}
    project.change(compare__models=["onward"], models__onward=model)
    shutil.rmtree(project.path(VARIANT))
    target = "results/onward/quick/model.pth"
    outcome = project.run(target)
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"finetune tiny-a quick", "import_trained onward",
                            "finetune onward quick"}  # fmt: skip
    trained = weights_of(project, VARIANT)
    started = load_file(project.path("results/onward/base.safetensors"))
    ended = weights_of(project, "results/onward/quick")
    assert all(torch.equal(tensor, trained[name]) for name, tensor in started.items())
    assert not torch.equal(started["out_head.weight"], ended["out_head.weight"])
    assert not project.run(target).jobs


def test_an_export_a_chapters_file_and_a_variant_of_elsewhere_are_the_same_model(project, tmp_path):
    outcome = project.run(f"{VARIANT}/hf/model.safetensors")
    assert outcome.code == 0, outcome.tail
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project.path(VARIANT), elsewhere)
    shutil.copy(elsewhere / "model.pth", tmp_path / "tiny-sft.pth")
    models = {
        "exported": {"url": f"{elsewhere}/hf", "tokenizer": "exported"},
        "chapters": {"url": f"{tmp_path}/tiny-sft.pth", "n_heads": 2, "tokenizer": "exported"},
        "variants": {"url": f"{elsewhere}/model.pth", "tokenizer": "exported"},
    }
    for name, model in models.items():
        project.change(**{f"models__{name}": model})
    project.change(tokenizers__exported={"url": f"{elsewhere}/hf"})
    with FileServer(elsewhere) as server:
        models["served"] = {"url": f"{server.url}/hf", "format": "huggingface", "tokenizer": "gpt2"}
        project.change(models__served=models["served"])
        outcome = project.run(
            *(f"{project.keyed(f'gpt2/{name}')}/model.safetensors" for name in models)
        )
    assert outcome.code == 0, outcome.tail
    trained = weights_of(project, VARIANT)
    for name in models:
        for key, tensor in base(project, name).items():
            assert torch.equal(tensor, trained[key]), (name, key)
    outcome = project.run(f"{project.keyed('tokenizers/exported')}/vocab.bpe")
    assert outcome.code == 0, outcome.tail
    for name in ("encoder.json", "vocab.bpe"):
        made = [project.kept(f"tokenizers/{t}") / name for t in ("exported", "small-world")]
        assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"url": "mine-sft.pth"}, "models.mine.n_heads: "),
        ({"url": "results/mine/quick"}, "goes round in a circle: mine from mine"),
        ({"url": "https://huggingface.co/gpt2"}, "/resolve/main"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(project, model, said):
    project.change(models__mine=model | {"tokenizer": "small-world"})
    outcome = project.run("-n", "results/mine/quick/model.pth")
    assert said in one_error(outcome)
    assert not outcome.jobs

"""Which files make a base model: recognized by what lies there, or as the settings say."""

import pytest

from workflow.lib.model.shape import CHECKPOINT_FILES
from workflow.lib.model.source import model_source, split_url, vocabulary_names
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.sources import Model


def source(url, in_run=False, **settings):
    return model_source("models.mine", Model(url=url, tokenizer="t", **settings), url, in_run)


@pytest.mark.parametrize(
    ("names", "url", "form", "files"),
    [
        (
            ["config.json", "model.safetensors", "vocab.json"],
            "",
            "huggingface",
            "model.safetensors",
        ),
        (["config.json", "pytorch_model.bin"], "", "huggingface", "pytorch_model.bin"),
        (
            ["config.json", "model.safetensors", "pytorch_model.bin"],
            "",
            "huggingface",
            "model.safetensors",
        ),
        (
            ["config.json", "model.safetensors", "pytorch_model.bin"],
            "/pytorch_model.bin",
            "huggingface",
            "pytorch_model.bin",
        ),
        (["model.pth", "training.json", "losses.csv"], "", "variant", "model.pth"),
        (["model.pth", "training.json"], "/model.pth", "variant", "model.pth"),
        (["my-sft.pth", "training.json"], "/my-sft.pth", "variant", "my-sft.pth"),
        ([*CHECKPOINT_FILES, "config.json"], "", "tensorflow", None),
        ([], "", "tensorflow", None),
    ],
)
def test_a_folder_is_what_it_holds(tmp_path, names, url, form, files):
    for name in names:
        (tmp_path / name).touch()
    found = source(f"{tmp_path}{url}")
    assert found.format == form
    assert found.folder == str(tmp_path)
    described = {"huggingface": ["config.json"], "variant": ["training.json"]}.get(form, [])
    assert {*found.files} == ({files, *described} if files else {*CHECKPOINT_FILES})


@pytest.mark.parametrize(
    ("url", "settings", "form", "folder", "files"),
    [
        ("https://h.org/gpt2/124M", {}, "tensorflow", "https://h.org/gpt2/124M", CHECKPOINT_FILES),
        (
            "https://huggingface.co/openai-community/gpt2/resolve/main",
            {},
            "huggingface",
            "https://huggingface.co/openai-community/gpt2/resolve/main",
            ("config.json", "model.safetensors"),
        ),
        (
            "https://h.org/mine/pytorch_model.bin?token=abc",
            {},
            "huggingface",
            "https://h.org/mine?token=abc",
            ("config.json", "pytorch_model.bin"),
        ),
        ("https://h.org/mine", {"format": "huggingface"}, "huggingface", "https://h.org/mine",
         ("config.json", "model.safetensors")),
        ("https://h.org/a/b.pth", {"n_heads": 12}, "chapter", "https://h.org/a", ("b.pth",)),
        ("https://h.org/a/b.pth", {"format": "variant"}, "variant", "https://h.org/a",
         ("b.pth", "training.json")),
        ("b.pth", {"n_heads": 12}, "chapter", ".", ("b.pth",)),
    ],
)  # fmt: skip
def test_an_address_is_recognized_or_told(url, settings, form, folder, files):
    found = source(url, **settings)
    assert (found.format, found.folder, found.files) == (form, folder, tuple(files))


@pytest.mark.parametrize(
    ("url", "form", "files"),
    [
        ("results/a/b", "variant", ("model.pth", "training.json")),
        ("results/a/b/model.pth", "variant", ("model.pth", "training.json")),
        ("results/a/b/hf", "huggingface", ("config.json", "model.safetensors")),
    ],
)
def test_what_the_same_run_makes_need_not_exist(url, form, files):
    found = source(url, in_run=True)
    assert (found.format, found.files) == (form, files)


def test_a_chapters_file_needs_its_heads_and_no_other_takes_them(tmp_path):
    with pytest.raises(UserError, match=r"models.mine.n_heads: .* required; GPT-2 has 12 \(124M\)"):
        source("gpt2-medium355M-sft.pth")
    with pytest.raises(UserError, match=r"models.mine.n_heads: only for `format: chapter`; "):
        source(str(tmp_path), n_heads=12)


def test_the_page_of_a_model_is_no_address_of_files():
    with pytest.raises(ValueError, match=r"such as https://huggingface.co/.*/resolve/main, not"):
        Model(url="https://huggingface.co/gpt2", tokenizer="t")


def test_a_folder_whose_name_ends_like_weights_is_a_folder(tmp_path):
    (tmp_path / "run.pt").mkdir()
    assert split_url(str(tmp_path / "run.pt")) == (str(tmp_path / "run.pt"), "")


def test_a_vocabulary_has_hugging_faces_names_where_only_those_are(tmp_path):
    ours = {"encoder.json": "encoder.json", "vocab.bpe": "vocab.bpe"}
    theirs = {"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"}
    assert vocabulary_names(str(tmp_path)) == ours
    for name in theirs.values():
        (tmp_path / name).touch()
    assert vocabulary_names(str(tmp_path)) == theirs
    assert vocabulary_names("https://huggingface.co/gpt2/resolve/main") == theirs
    assert vocabulary_names("https://openaipublic.example.org/gpt-2/models/124M") == ours
    (tmp_path / "encoder.json").touch()
    assert vocabulary_names(str(tmp_path)) == ours

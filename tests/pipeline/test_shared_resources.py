"""Two checkouts share resources/: each trains on its own files, and equal ones are fetched once."""

import json
import shutil

import pytest
import yaml

from tests.support.file_server import FileServer
from tests.support.project import Project

TRAIN = "results/data/few/train.json"


def entries(word: str) -> str:
    """Return a data set whose answers are a word."""
    return json.dumps([{"instruction": f"Say {n}.", "output": word} for n in range(40)])


def answers(project: Project) -> set[str]:
    """Return the answers that a project would train on."""
    outcome = project.run(TRAIN)
    assert outcome.code == 0, outcome.tail
    return {entry["output"] for entry in json.loads(project.path(TRAIN).read_text("utf-8"))}


@pytest.fixture
def pair(finished, tmp_path) -> list[Project]:
    """Two copies of a finished project without its results, with one resources/."""
    shared = tmp_path / "shared"
    shared.mkdir()
    made = []
    for name in ("a", "b"):
        project = finished.copy(tmp_path / name)
        for folder in ("results", "resources", ".snakemake"):
            shutil.rmtree(project.path(folder))
        project.path("resources").symlink_to(shared)
        made.append(project)
    return made


@pytest.mark.parametrize("link", [True, False], ids=["shared", "copied"])
def test_local_files_of_one_name_are_kept_apart(pair, link):
    a, b = pair
    for project, word in ((a, "one"), (b, "two")):
        project.path("few.json").write_text(entries(word), "utf-8")
        project.change(datasets__few={"url": "few.json"})
    assert answers(a) == {"one"}
    if not link:
        b.path("resources").unlink()
        shutil.copytree(a.path("resources"), b.path("resources"))
    assert answers(b) == {"two"}
    assert answers(a) == {"one"}
    assert "Nothing to be done" in a.run(TRAIN).text


def test_addresses_are_kept_apart_and_each_is_fetched_once(pair, tmp_path):
    a, b = pair
    served = tmp_path / "served"
    for word in ("one", "two"):
        (served / word).mkdir(parents=True)
        (served / word / "few.json").write_text(entries(word), "utf-8")
    with FileServer(served) as server:
        one, two = (f"{server.url}/{word}/few.json" for word in ("one", "two"))
        a.change(datasets__few={"url": one})
        b.change(datasets__few={"url": two})
        assert answers(a) == {"one"}
        assert answers(b) == {"two"}
        a.change(datasets__few={"url": two})
    assert answers(a) == {"two"}  # the server is gone
    a.change(datasets__few={"url": one, "mirrors": [two]})
    assert answers(a) == {"one"}
    assert len(list(tmp_path.glob("shared/datasets/*.json"))) == 2


def test_tokenizers_and_models_too(pair):
    """Of one name, each from a folder in its checkout; also weights that are trained onward."""
    weights = {}
    for project, seed in zip(pair, "ab", strict=True):
        models = yaml.safe_load(project.path("overlay.yaml").read_text("utf-8"))["models"]
        shutil.copytree(models[f"tiny-{seed}"]["url"], project.path("mine"))
        model = {"url": "mine", "tokenizer": "small-world"}
        project.change(
            models__mine=model,
            models__onward=model | {"url": "results/mine/quick"},
            recipes__quick__training={"epochs": 0},
        )
        outcome = project.run("results/onward/quick/model.pth")
        assert outcome.code == 0, outcome.tail
        weights[seed] = project.path("results/onward/base.safetensors").read_bytes()
    assert weights["a"] != weights["b"]
    assert len(list(pair[0].path("resources/tokenizers").iterdir())) == 1  # the same files


def test_a_checkout_that_moves_runs_nothing_again(finished, tmp_path):
    project = finished.copy(tmp_path / "before")
    shutil.copytree(finished.path("resources").resolve(), tmp_path / "kept")
    project.path("few.json").write_text(entries("one"), "utf-8")
    project.change(datasets__few={"url": "few.json"})
    assert answers(project) == {"one"}
    moved = Project(project.folder.rename(tmp_path / "after"))
    assert "Nothing to be done" in moved.run(TRAIN).text

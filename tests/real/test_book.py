"""The chapter's run by its preset, on the real data set and encoding, from a server on loopback.

Only the addresses, the model's shape (random weights) and the judge's server stand in for what
cannot be had without network and GPU.
"""

import csv
import hashlib
import json
import shutil
from collections import Counter

import pytest
import torch
import yaml

from tests.support.file_server import FileServer
from tests.support.judge_servers import ollama_server, running
from tests.support.oracle import finetune_textbook
from tests.support.paths import ROOT
from tests.support.project import Project
from tests.support.small_checkpoint import make_checkpoint
from workflow.lib.fast.buckets import fill_up
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.weights import load_base_model
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.dataloader import make_dataloader
from workflow.lib.tokens.dataset import load_tokens
from workflow.lib.training.progress import Progress
from workflow.lib.training.train import Hooks, Loaders, train

MODEL = "gpt2-medium-355M"
SHAPE = GPTConfig(vocab_size=50257, context_length=1024, emb_dim=32, n_heads=2, n_layers=2)
FIRST_LENGTHS = [61, 76, 73, 68, 65, 72, 80, 67]
LAST_LENGTHS = [74, 69]

SCORES = "results/comparisons/book/scores.csv"


@pytest.fixture(scope="module")
def book(real_data, tmp_path_factory):
    """The finished run, and the requests that its server saw."""
    folder = tmp_path_factory.mktemp("book")
    served = folder / "served"
    make_checkpoint(served / "355M", real_data / "gpt2-tokenizer", SHAPE)
    shutil.copytree(real_data / "gpt2-tokenizer", served / "124M")
    shutil.copy(real_data / "instruction-data.json", served)
    with FileServer(served) as files, running(ollama_server("llama3:latest")) as ollama:
        overlay = yaml.safe_load((ROOT / "workflow/presets/book.yaml").read_text("utf-8")) | {
            "datasets": {"instruction-data": {"url": f"{files.url}/instruction-data.json"}},
            "tokenizers": {"gpt2": {"url": f"{files.url}/124M"}},
            "models": {MODEL: {"url": f"{files.url}/355M"}},
            "judges": {"llama3": {"url": ollama.address}},
        }
        project = Project.create(folder / "project", overlay)
        outcome = project.run(SCORES)
        assert outcome.code == 0, outcome.tail
        yield project, outcome, list(files.requests), list(ollama.questions)


def test_everything_was_fetched_once_from_the_server(book):
    _, _, requests, _ = book
    paths = [request.path for request in requests]
    assert len(paths) == len(set(paths)) == 10  # seven of the model, two of the encoding, the data


def test_the_data_set_is_the_chapters(book):
    project, *_ = book
    content = project.kept("datasets/instruction-data").read_bytes()
    assert hashlib.sha256(content).hexdigest() == (
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
    )
    splits = {
        name: len(
            json.loads(project.path(f"results/data/instruction-data/{name}.json").read_text())
        )
        for name in ("train", "val", "test")
    }
    assert splits == {"train": 935, "val": 55, "test": 110}


def test_every_loss_is_the_textbooks(book):
    """Batch lengths as printed in the chapter, and the oracle's losses at each evaluation."""
    project, *_ = book
    tokens = project.path("results/tokens/gpt2/instruction-data/alpaca")
    train, val = load_tokens(tokens / "train.npz"), load_tokens(tokens / "val.npz")
    model = load_base_model(project.kept(f"gpt2/{MODEL}") / "model.safetensors")
    trace = finetune_textbook(model, train.sequences, val.sequences, 50256)
    assert trace.batch_lengths[:8] == FIRST_LENGTHS
    assert trace.batch_lengths[114:116] == LAST_LENGTHS
    assert len(trace.batch_lengths) == 232

    run = project.path(f"results/{MODEL}/book")
    record = json.loads((run / "training.json").read_text())
    assert record["initial_losses"]["train"] == pytest.approx(trace.initial[0], abs=1e-4)
    assert record["initial_losses"]["val"] == pytest.approx(trace.initial[1], abs=1e-4)
    with (run / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(trace.evaluations) == 47
    for row, (step, epoch, seen, train_loss, val_loss) in zip(rows, trace.evaluations, strict=True):
        assert (int(row["step"]), int(row["epoch"]), int(row["tokens_seen"])) == (step, epoch, seen)
        assert float(row["train_loss"]) == pytest.approx(train_loss, abs=1e-4)
        assert float(row["val_loss"]) == pytest.approx(val_loss, abs=1e-4)


def test_responses_and_scores_are_there_for_every_test_entry(book):
    project, outcome, _, questions = book
    run = project.path(f"results/{MODEL}/book")
    test = json.loads(project.path("results/data/instruction-data/test.json").read_text("utf-8"))
    responses = json.loads((run / "responses.json").read_text("utf-8"))
    assert [{k: r[k] for k in test[0]} for r in responses] == test
    state = torch.load(run / "model.pth", weights_only=True)
    assert state["out_head.weight"].shape == (50257, 32)
    with project.path(SCORES).open() as file:
        assert len(list(csv.DictReader(file))) == 110
    asked = sum(1 for r in responses if r["model_response"].strip())
    assert len(questions) == asked
    assert "Number of scores: 110 of 110" in outcome.text
    assert outcome.text.count("Report: results/comparisons/book/report.html") == 1


def test_the_judge_was_asked_as_in_the_chapter(book):
    project, _, _, questions = book
    run = project.path(f"results/{MODEL}/book")
    first = next(
        r for r in json.loads((run / "responses.json").read_text("utf-8"))
        if r["model_response"].strip() and "`" not in r["model_response"]
    )  # fmt: skip
    asked = next(q for q in questions if first["model_response"] in q["messages"][0]["content"])
    assert asked["model"] == "llama3"
    assert asked["options"] == {
        "seed": 123,
        "temperature": 0,
        "num_ctx": 2048,
        "num_predict": 1024,
    }
    text = asked["messages"][0]["content"]
    assert text.startswith("Given the input `Below is an instruction that describes a task.")
    assert text.endswith(
        "on a scale from 0 to 100, where 100 is the best score. "
        "Respond with the integer number only."
    )


def test_the_same_again_has_nothing_to_do(book):
    project, *_ = book
    assert "Nothing to be done" in project.run(SCORES).text


def test_the_batches_of_two_epochs_have_eight_sizes(book):
    """So a GPU needs as many CUDA graphs for them: docs/how-it-computes.md."""
    project, *_ = book
    tokens = project.path("results/tokens/gpt2/instruction-data/alpaca")
    training, sizes = Training(), Counter()
    loaders = Loaders(
        *(
            make_dataloader(load_tokens(tokens / name), 50256, training, 1024, shuffle)
            for name, shuffle in (("train.npz", True), ("val.npz", False))
        )
    )

    class Sizes(Engine):
        def backward(self, inputs, targets):
            batch = fill_up([(inputs, targets)], learns=True)
            sizes[tuple(tensor.shape for tensor in batch.tensors)] += 1

        def losses(self, batches):
            return [0.0 for _ in batches]

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    torch.manual_seed(training.seed)
    train(Sizes(None), optimizer, loaders, training, Evaluation(), Progress(), Hooks())
    assert (len(sizes), sizes.total()) == (8, 232)

"""A line for each result that a run replaces: what changed, from when it is, how long it took."""

import csv
import json
import os
import time
from datetime import datetime

import pytest
import yaml

from workflow.lib.cli.replaced import Rerun, replaced_comparison, replaced_lines

DAY = datetime(datetime.now().year - 1, 11, 22, 12).timestamp()
WHEN = f"22 November {datetime.now().year - 1}"
MODEL = ["model.pth", "losses.csv", "samples.json", "training.json"]
OLD = {"epochs": 2, "learning_rate": 5e-4, "lora": {"rank": 8, "fan": "inputs"}, "seed": 123}


@pytest.fixture
def variant(tmp_path, monkeypatch):
    """The files of a variant, of 22 November."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/nano-1M/small-world"
    (folder / "llama3").mkdir(parents=True)
    for name in MODEL[:3]:
        (folder / name).touch()
    (folder / "training.json").write_text(json.dumps({"seconds": 240}))
    (folder / "responses.json").write_text(json.dumps([{}] * 110))
    (folder / "llama3/scores.csv").write_text('entry,reply\n0,"two\nlines"\n1,a\n')
    (folder / "llama3/usage.json").write_text(json.dumps({"seconds": 61.0}))
    for path in folder.rglob("*"):
        os.utime(path, (DAY, DAY))
    return folder


def finetuning(**told) -> Rerun:
    return Rerun([f"results/nano-1M/small-world/{name}" for name in MODEL], **told)


def params(**changes):
    """What Snakemake records of the params before, and the params that are new."""
    old = {"training": OLD, "precision": "auto", "code": "0" * 16}
    before = [repr(old[name]) for name in changes if name in old]
    return {"before": before, "now": changes}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (params(training=OLD | {"learning_rate": 1e-3}), "learning_rate 5e-4 -> 1e-3"),
        (params(training=OLD | {"lora": {"rank": 4, "fan": "rank"}}),
         "lora.rank 8 -> 4, lora.fan inputs -> rank"),
        (params(training=OLD | {"lora": None}), "lora changed"),
        (params(training=OLD | {"epochs": 3}, precision="fp32", code="1" * 16),
         "epochs 2 -> 3, precision changed, code changed"),
        (params(precision="fp32"), "precision auto -> fp32"),
        (params(style={"instruction": "x"}), "prompt style changed"),
        ({"inputs": ["resources/a/train.npz", "b/val.npz", "c/encoder.json"]},
         "new tokens, new tokenizer"),
        (params(training=OLD | {"seed": 1}) | {"inputs": ["b/val.npz"], "forced": True},
         "seed 123 -> 1"),
        ({"forced": True}, "asked for"),
        ({}, "made again"),
    ],
)  # fmt: skip
def test_a_finetuning_says_what_changed_and_what_it_replaces(variant, told, why):
    line = f"finetune nano-1M small-world: {why}, replaces the model of {WHEN}, 4 min 0 s"
    assert replaced_lines([finetuning(**told)]) == [line]


def test_a_result_of_today_has_its_time(variant):
    os.utime(variant / "training.json")
    assert f"of today, {time.strftime('%H:')}" in replaced_lines([finetuning()])[0]


def test_what_is_not_there_is_not_replaced(variant):
    assert not replaced_lines([Rerun(["results/other/small-world/training.json"])])
    assert not replaced_lines([Rerun(["results/nano-1M/small-world/loss.png"])])
    (variant / "samples.json").unlink()
    assert "samples.json is missing, replaces the model" in replaced_lines([finetuning()])[0]


JUDGE = "results/nano-1M/small-world/llama3"
IDENTITY = {"backend": "ollama", "model": "llama3", "prompt": {"user": "a\nb"}, "options": {}}


@pytest.mark.parametrize(
    ("change", "inputs", "said"),
    [
        ({"prompt": {"user": "a"}}, [], "prompt changed, replaces 2 scores of {}, 1 min 1 s; "
         "a request that was answered before is not sent again"),
        ({"model": "phi3"}, [], "model llama3 -> phi3, replaces 2 scores of {}, 1 min 1 s; "
         "a request that was answered before is not sent again"),
        (None, ["results/nano-1M/small-world/responses.json", f"{JUDGE}/ready.json"],
         "new responses, replaces 2 scores of {}, 1 min 1 s; "
         "a request that was answered before is not sent again"),
        ("code", [f"{JUDGE}/ready.json"], "code changed, replaces 2 scores of {}, 1 min 1 s; "
         "all its replies are kept, nothing is asked again"),
    ],
)  # fmt: skip
def test_a_judging_says_what_will_be_asked_again(variant, change, inputs, said):
    changed = {"code": "1" * 16} if change == "code" else {"judge": IDENTITY | (change or {})}
    rerun = Rerun(
        [f"{JUDGE}/scores.csv", f"{JUDGE}/usage.json"],
        before=[repr(IDENTITY)] if change and change != "code" else [],
        now=changed if change else {},
        inputs=inputs,
        asks=True,
    )
    assert replaced_lines([rerun]) == [f"judge nano-1M small-world llama3: {said.format(WHEN)}"]


def test_lines_are_ten_and_the_dearest_come_first(variant):
    generate = Rerun(
        ["results/nano-1M/small-world/responses.json"], inputs=["model.pth", "training.json"]
    )
    lines = replaced_lines([generate] * 10 + [finetuning()] * 3)
    assert len(lines) == 11
    assert all(line.startswith("finetune ") for line in lines[:3])
    assert lines[3] == f"generate nano-1M small-world: new model, replaces 110 responses of {WHEN}"
    assert lines[-1] == "and replaces 3 more results"


def test_a_damaged_record_stops_no_run(variant):
    (variant / "training.json").write_text("{")
    assert "replaces the damaged result" in replaced_lines([finetuning(before=["(", "x"])])[0]


def test_a_comparison_of_other_variants_is_said_to_be_replaced(tmp_path):
    config = tmp_path / "config.yaml"
    compare = {"models": ["a", "b"], "recipes": ["r"]}
    assert not replaced_comparison(config, {"compare": compare})
    config.write_text(yaml.safe_dump({"compare": compare}))
    (tmp_path / "report.html").touch()
    os.utime(tmp_path / "report.html", (DAY, DAY))
    assert not replaced_comparison(config, {"compare": compare})
    other = {"compare": compare | {"models": ["a"]}}
    assert replaced_comparison(config, other) == [
        f"comparison without a name: models [a, b] -> [a], replaces the report of {WHEN}; "
        "give the config a `name` to keep both"
    ]
    assert replaced_comparison(config, other | {"name": "mine"}) == [
        f"comparison mine: models [a, b] -> [a], replaces the report of {WHEN}"
    ]
    config.write_text("[")
    assert not replaced_comparison(config, other)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"seconds": NaN}', '{"seconds": 1e400}', '{"seconds": "nan"}',
     '{"seconds": -5}', '{"seconds": 1e300}', "[" * 100_000],
)  # fmt: skip
def test_no_damaged_record_stops_planning_or_shows_a_wrong_time(variant, content):
    (variant / "training.json").write_text(content)
    (line,) = replaced_lines([finetuning()])
    assert "replaces the damaged result of today" in line
    assert not line.endswith(" s")


def test_no_damaged_table_or_pipe_stops_planning(variant):
    scores = variant / "llama3/scores.csv"
    judging = Rerun(["results/nano-1M/small-world/llama3/scores.csv"])
    scores.write_text(f'entry,reply\n0,"{"x" * 200_000}"\n')
    limit = csv.field_size_limit(100_000)
    assert "replaces the damaged result" in replaced_lines([judging])[0]
    csv.field_size_limit(limit)
    scores.write_text("")
    assert "replaces 0 scores" in replaced_lines([judging])[0]
    scores.unlink()
    os.mkfifo(scores)
    assert "replaces the damaged result" in replaced_lines([judging])[0]


@pytest.mark.parametrize("compare", ["3", "[1]", "null", "text"])
def test_of_a_damaged_comparison_nothing_is_said(tmp_path, compare):
    config = tmp_path / "config.yaml"
    config.write_text(f"compare: {compare}\n")
    assert replaced_comparison(config, {"compare": {"models": ["m"]}}) == []

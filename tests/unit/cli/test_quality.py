"""`python -m workflow quality` shows the findings with the entries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.entries import DOUBTFUL, write
from tests.support.paths import ROOT
from workflow.lib.cli.program import run_program
from workflow.lib.cli.quality import main
from workflow.lib.data.quality.measure import measure_quality
from workflow.lib.data.split import split_dataset
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.files import write_json
from workflow.lib.settings.sources import Selection


@pytest.fixture
def quality(tmp_path, monkeypatch):
    """results/data/mine/quality.json below the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/data/mine")
    files = {name: folder / f"{name}.json" for name in ("train", "val", "test", "origins")}
    source = write(tmp_path / "data.jsonl", DOUBTFUL)
    selection = Selection.model_validate({"checks": {"duplicates": "drop"}})
    split_dataset({"": source}, selection, "datasets.mine", **files)
    measure_quality(files, 95, folder / "quality.json")
    return folder / "quality.json"


def status(arguments):
    """Exit status of the program; what it leaves with is said as Python says it."""
    try:
        run_program(lambda: main(arguments))
    except SystemExit as left:
        print(left.code, file=sys.stderr)
        return 1
    return 0


def test_findings_are_shown_with_their_entries_and_lines(quality, capsys):
    assert status(["mine"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mine: 19 entries, 16 train, 2 val, 1 test\n")
    assert "Conflicting answers: 2\n  0 = 17\n    0 (data.jsonl, entry 0, line 1), train" in said
    assert "instruction: Task 0\n      output:      new" in said
    assert "Left out for duplicates: 1\n  2 (data.jsonl, entry 2, line 3)" in said
    assert "output, words: median 2, longest 2" in said
    assert max(map(len, said.splitlines())) <= 100


def test_by_path_and_with_fewer_entries(quality, capsys):
    assert status([str(quality), "--most", "1"]) == 0
    said = capsys.readouterr().out
    assert "Conflicting answers: 2\n  0 = 17\n" in said
    assert "  and 1 more" in said
    assert "3 = 4" not in said


def test_token_lengths_and_what_was_cut_are_added(quality, capsys):
    tokens = Path("results/tokens/gpt2/mine/alpaca/train.npz")
    tokens.parent.mkdir(parents=True)
    np.savez(tokens, offsets=np.array([0, 30, 70, 75]))
    record = {
        "training": {"max_length": 32, "too_long": "truncate"},
        "model": {"context_length": 1024},
        "too_long": {"train": [1], "val": []},
        "inputs": {"train": sha256_of(tokens)},
    }
    write_json("results/small/book/training.json", record)
    write_json("results/small/other/training.json", record | {"inputs": {"train": "0"}})
    main(["mine"])
    said = capsys.readouterr().out
    assert "whole entry, tokens of gpt2 with alpaca: median 30, longest 40" in said
    assert "  small / book (truncate at 32 tokens): train 1\n" in said
    assert "small / other" not in said


def earlier_version(path: Path) -> None:
    write_json(path, {k: v for k, v in json.loads(path.read_text()).items() if k != "near"})


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda path: path.write_text("{}"), "damaged or changed since it was written"),
        (lambda path: write_json(path, {}), "quality.json: duplicates: Field required; delete it"),
        (earlier_version, "not a quality.json of this version, it lacks near; delete it"),
        (lambda path: path.with_name("val.json").unlink(), "val.json: there is no such file"),
        (lambda path: write_json(path.with_name("val.json"), DOUBTFUL[:1]), "make both again"),
        (lambda path: path.unlink(), "no quality.json for 'mine'; `snakemake"),
    ],
)
def test_what_cannot_be_shown_is_one_line(quality, capsys, broken, said):
    broken(quality)
    assert status(["mine"]) == 1
    streams = capsys.readouterr()
    assert streams.err.startswith("error: ")
    assert streams.err.count("\n") == 1
    assert said in streams.err


def test_it_runs_as_a_module(quality):
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "quality", "mine"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "Conflicting answers: 2" in done.stdout
    assert json.loads(quality.read_text())["near"] == 95

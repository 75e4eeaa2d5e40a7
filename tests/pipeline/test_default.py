"""The default run: what `make scores` does, on the small world as it is shipped."""

import csv
import json
import re
import sys

import pytest
import yaml

from tests.support.paths import ROOT, SMALL_WORLD
from tests.support.project import Outcome, Project, run_command

SIZES = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["compare"]["models"]


@pytest.fixture
def default(default_run) -> tuple[Project, Outcome]:
    """The finished default run of a project without a change of settings."""
    return default_run


def summary(project) -> dict[tuple[str, str], dict[str, str]]:
    with project.path("results/summary.csv").open() as file:
        return {(row["model"], row["recipe"]): row for row in csv.DictReader(file)}


def test_finetuning_teaches_to_follow_instructions(default):
    """The base models cannot follow an instruction; two epochs later they answer unseen ones.

    The larger model does so better.
    """
    rows = summary(default[0])
    means = {variant: float(row["mean"]) for variant, row in rows.items()}
    assert all(row["scored"] != "0" and row["entries"] == "110" for row in rows.values())
    small, large = SIZES
    assert means[small, "small-world-untuned"] <= 10
    assert means[large, "small-world-untuned"] <= 10
    assert means[small, "small-world"] >= 50
    assert means[large, "small-world"] >= means[small, "small-world"] + 8


def test_the_console_ends_with_two_lines_a_variant_and_the_report(default):
    _, outcome = default
    lines = outcome.text.splitlines()
    start = lines.index(f"{SIZES[0]} / small-world-untuned, judged by overlap "
                        "(reference overlap, not an LLM)")  # fmt: skip
    said = lines[start:]
    assert sum(line == "Number of scores: 110 of 110" for line in said) == 4
    assert sum(line.startswith("Average score: ") for line in said) == 4
    assert "Report: results/report.html" in said
    assert "Traceback" not in outcome.text
    assert "tensorflow" not in outcome.text.lower()


def test_the_console_is_short_and_says_what_remains(default):
    """Jobs and results, a line for what remains now and then; the rest is in the logs."""
    project, outcome = default
    lines = outcome.text.splitlines()
    for chatter in ("Select jobs", "Execute ", "Finished jobid", "Using shell", "Provided cores"):
        assert not [line for line in lines if line.startswith(chatter)], chatter
    assert len(lines) < 200
    assert max(map(len, lines)) < 500
    assert "29 of 29 jobs done" in lines
    trained = [line for line in lines if line.startswith(f"{SIZES[1]}/small-world | Ep ")]
    assert trained[0].endswith(" (0 of 232)")
    assert trained[-1].endswith(" left)")
    assert len(trained) < 47
    log = project.path(f"results/logs/finetune/{SIZES[1]}/small-world.log").read_text("utf-8")
    assert log.count("): Train loss ") == 47
    [whole] = project.path(".snakemake/log").glob("*.log")
    assert whole.read_text("utf-8").count("Finished jobid") == 29


def test_every_promised_file_is_there(default):
    project, _ = default
    run = project.path(f"results/{SIZES[0]}/small-world")
    for name in ("model.pth", "losses.csv", "samples.json", "training.json", "loss.png",
                 "responses.json", "overlap/scores.csv"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert project.path("results/report.html").stat().st_size > 10_000
    with project.path("results/scores.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 440
    record = json.loads((run / "training.json").read_text())
    assert record["steps"] == 2 * (935 // 8)
    assert [sample["epoch"] for sample in json.loads((run / "samples.json").read_text())] == [
        0,
        1,
        2,
    ]


def test_the_learning_rate_brought_the_losses_down(default):
    project, _ = default
    with project.path(f"results/{SIZES[0]}/small-world/losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 47
    assert float(rows[-1]["val_loss"]) < 0.5 * float(rows[0]["val_loss"])


def test_shipped_files_are_small():
    files = [p for p in SMALL_WORLD.rglob("*") if p.is_file()]
    models = [p for p in files if p.parent != SMALL_WORLD]
    assert sum(p.stat().st_size for p in models) <= 12 * 2**20
    assert ROOT in SMALL_WORLD.parents


def test_snakemakes_own_report_holds_the_results(default, tmp_path):
    """Outputs carry captions and labels for `snakemake --report`."""
    project = default[0].copy(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "results/scores.csv", "--report", "own.html"]
    outcome = run_command(command, project.folder)
    assert outcome.code == 0, outcome.tail
    page = project.path("own.html").read_text("utf-8")
    for text in ("summary.csv", "loss.png", "figure 7.17", SIZES[0]):
        assert text in page


def test_what_variants_share_is_made_once(default):
    """By the table of jobs that Snakemake prints before it starts them."""
    ran = dict(re.findall(r"^(\w+) +(\d+)$", default[1].text, re.MULTILINE))
    assert ran["split"] == ran["download_tokenizer"] == "1"
    assert int(ran["download_gpt2"]) == int(ran["convert_gpt2"]) == len(SIZES)
    assert ran["tokenize"] == "2"  # the training and the validation split
    assert ran["total"] == "29"

"""Comparisons side by side: each config with a name has its own folder."""

import json
import re
import shutil
import sys
import tarfile

import pytest
import yaml

from tests.support.paths import NANO
from tests.support.project import Project, one_error, run_command, tiny_overlay
from workflow.lib.runtime.digests import sha256_of

FILES = {
    "scores.csv", "scores.parquet", "summary.csv", "summary.parquet", "report.html",
    "pairs.csv", "config.yaml", "manifest.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def two(finished, tmp_path_factory) -> Project:
    """A project in which a comparison without a name has run, and then one that is named."""
    project = finished.copy(tmp_path_factory.mktemp("two") / "project")
    project.change(name="one-model", compare__models=["tiny-b"])
    before = project.contents()
    outcome = run_default(project)
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"summary", "report", "scores", "all"}
    assert "Report: results/comparisons/one-model/report.html" in outcome.text
    after = project.contents()
    assert {name: after[name] for name in before} == before
    return project


def run_default(project: Project, *options: str):
    """Run snakemake without a target."""
    return project.run(*options, "--cores", "1")


def test_the_files_of_a_named_comparison_have_a_folder_of_their_own(two):
    folder = two.path("results/comparisons/one-model")
    assert {path.name for path in folder.iterdir()} >= FILES
    rows = (folder / "summary.csv").read_text("utf-8").splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == {"tiny-b"}
    logs = {path.parent.name for path in two.path("results/logs").glob("*/one-model.log")}
    assert logs == {"summary", "report", "scores"}


def test_neither_of_two_comparisons_is_run_again_after_the_other(two, tmp_path):
    project = two.copy(tmp_path / "project")
    assert "Nothing to be done" in run_default(project).text
    project.change(name=None, compare__models=["tiny-a", "tiny-b"])
    assert "Nothing to be done" in project.run().text


@pytest.mark.parametrize(
    ("name", "target", "right"),
    [
        ("one-model", "results/scores.csv", "results/comparisons/one-model/scores.csv"),
        ("one-model", "results/comparisons/all/report.html", "one-model/report.html"),
        (None, "results/comparisons/one-model/summary.csv", "results/summary.csv"),
    ],
)
def test_a_file_of_another_comparison_is_refused_with_the_right_target(
    two, tmp_path, name, target, right
):
    project = two.copy(tmp_path / "project")
    project.change(name=name)
    before = project.contents()
    error = one_error(project.run(target))
    assert error.startswith(f"error: {target}: the config has ")
    assert right in error
    assert "or give no target" in error
    assert project.contents() == before


@pytest.mark.parametrize("name", ["one-model", None])
def test_the_resolved_config_alone_repeats_the_run(two, tmp_path, name):
    """In place of config.yaml, and laid over it: nothing is to be done."""
    project = two.copy(tmp_path / "project")
    folder = f"results/comparisons/{name}" if name else "results"
    resolved = project.path(f"{folder}/config.yaml").read_text("utf-8")
    assert f"snakemake --configfile {folder}/config.yaml --cores 1" in resolved
    over = project.command("--cores", "1")
    over[-1] = f"{folder}/config.yaml"
    assert "Nothing to be done" in run_command(over, project.folder).text
    project.path("config.yaml").write_text(resolved, "utf-8")
    alone = run_command(over[:-2], project.folder)
    assert "Nothing to be done" in alone.text, alone.tail


def test_the_manifest_says_what_ran(two):
    folder = two.path("results/comparisons/one-model")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["name"] == "one-model"
    assert manifest["command"].startswith("snakemake --quiet host ")
    assert manifest["command"].endswith("--configfile overlay.yaml")
    assert [(run["model"], run["recipe"]) for run in manifest["runs"]] == [("tiny-b", "quick")]
    assert manifest["code"].keys() >= {"finetune", "generate_responses", "judge_responses"}
    assert manifest["versions"].keys() >= {"python", "torch", "snakemake"}
    variant = "results/tiny-b/quick"
    assert manifest["files"].keys() >= {
        "results/data/few/quality.json",
        "results/comparisons/one-model/report.html",
        *(f"{variant}/{name}" for name in ("model.pth", "responses.json", "server/scores.csv")),
    }
    for path, file in manifest["files"].items():
        assert file["sha256"] == sha256_of(two.path(path)), path
        assert file["bytes"] == two.path(path).stat().st_size


def test_what_a_run_replaces_is_said_before_it_begins(project):
    """In a dry run and in a real one, and nothing if nothing is replaced."""
    assert "replaces" not in project.run("-n").text
    project.change(
        recipes__quick__training__learning_rate=2e-3,
        compare__models=["tiny-b"],
        judges__server__model="phi3",
    )
    planned = project.run("-n").text
    block = planned[planned.index("This run replaces results:") :].partition("\n\n")[0]
    finetune, *judges, generate, comparison = block.splitlines()[1:]
    assert re.fullmatch(
        r"  finetune tiny-b quick: learning_rate 1e-3 -> 2e-3, replaces the model of today, "
        r"\d\d:\d\d, \d+\.\d s",
        finetune,
    )
    assert [line.partition(",")[0] for line in judges] == [
        "  judge tiny-b quick overlap: new responses",
        "  judge tiny-b quick server: model llama3 -> phi3",
    ]
    assert "replaces 8 scores of today" in judges[1]
    assert judges[1].endswith("; a request that was answered before is not sent again")
    assert "generate tiny-b quick: new model, replaces 8 responses of today" in generate
    assert "comparison without a name: models [tiny-a, tiny-b] -> [tiny-b], replaces" in comparison
    outcome = project.run("results/tiny-b/quick/loss.png")
    assert outcome.text.index(finetune) < outcome.text.index("rule finetune:"), outcome.tail
    assert outcome.text.count("This run replaces results:") == 1


def test_an_archive_unpacked_elsewhere_has_nothing_to_do(ollama, tmp_path):
    """Without the models, which a changed setting then finetunes again."""
    project = Project.create(tmp_path / "project", {})
    overlay = tiny_overlay(project.path("sources"), ollama.address)
    shutil.copytree(NANO, project.path("sources/tokenizer"))
    overlay["tokenizers"]["small-world"]["url"] = str(project.path("sources/tokenizer"))
    own = yaml.safe_dump(overlay).replace(str(project.folder) + "/", "")
    project.change(**yaml.safe_load(own), name="packed", compare__models=["tiny-a"])
    assert run_default(project).code == 0
    archive = [sys.executable, "-m", "workflow", "archive", "packed"]
    packed = run_command(archive, project.folder)
    assert packed.code == 0, packed.tail
    assert "packed.tar.gz: " in packed.text
    assert "absolute" not in packed.text
    first = project.path("packed.tar.gz").read_bytes()
    assert run_command(archive, project.folder).code == 0
    assert project.path("packed.tar.gz").read_bytes() == first
    with tarfile.open(project.path("packed.tar.gz")) as opened:
        opened.extractall(tmp_path / "elsewhere", filter="data")
    project.folder.rename(tmp_path / "gone")
    there = tmp_path / "elsewhere/packed"
    assert not [*there.rglob("model.pth")]
    assert (there / "results/tiny-a/quick/server/answers.jsonl").exists()
    command = [sys.executable, "-m", "snakemake", "--quiet", "host", "-n", "--configfile"]
    config = "results/comparisons/packed/config.yaml"
    again = run_command([*command, config], there)
    assert again.code == 0, again.tail
    assert "Nothing to be done" in again.text, again.tail
    (there / "more.yaml").write_text("judges: {server: {model: phi3}}")
    judged = run_command([*command, config, "more.yaml"], there)
    assert {job.split()[0] for job in judged.jobs} == {
        "check_judge", "judge", "summary", "report", "scores", "all",
    }  # fmt: skip
    (there / "more.yaml").write_text("recipes: {quick: {training: {learning_rate: 2e-3}}}")
    jobs = run_command([*command, config, "more.yaml"], there).jobs
    assert "finetune tiny-a quick" in jobs

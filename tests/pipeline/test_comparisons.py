"""Comparisons side by side: each config with a name has its own folder."""

import pytest

from tests.support.project import Project, one_error

FILES = {"scores.csv", "scores.parquet", "summary.csv", "summary.parquet", "report.html"}


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

"""A judge is one file: a made-up one takes part in a whole run, and reruns follow its own file."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.project import Project

AFTER_JUDGES = {"summary", "report", "scores"}
PARROT = "workflow/lib/judge/backends/parrot.py"


def jobs_of(judge: str, *rules: str) -> set[str]:
    """Jobs of these rules for both models of the project."""
    return {f"{rule} {model} quick {judge}" for rule in rules for model in ("tiny-a", "tiny-b")}


@pytest.fixture(scope="module")
def judged(finished, tmp_path_factory) -> Project:
    """A finished project with one more file, and a judge that names it; not to be changed."""
    project = finished.copy(tmp_path_factory.mktemp("judged") / "project")
    shutil.copy(ROOT / "tests/support/parrot_judge.py", project.path(PARROT))
    project.change(
        judges__polly={
            "backend": "parrot",
            "model": "polly",
            "prices": {"input": 1, "output": 9},
            "check": "warn",
        },
        compare__judges=["overlap", "polly"],
    )
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == jobs_of("polly", "check_judge", "judge") | AFTER_JUDGES
    return project


@pytest.fixture
def project(judged, tmp_path) -> Project:
    return judged.copy(tmp_path / "project")


def test_a_backend_of_ones_own_judges(judged):
    folder = judged.path("results/tiny-a/quick/polly")
    header, *rows = (folder / "scores.csv").read_text("utf-8").splitlines()
    assert header.startswith("model,recipe,judge,entry,repeat,score,")
    assert len(rows) == 8
    assert all(row.startswith("tiny-a,quick,polly,") for row in rows)
    assert any(",42,scored," in row for row in rows)
    usage = json.loads((folder / "usage.json").read_text("utf-8"))
    assert (usage["backend"], usage["digests"]) == ("parrot", ["gray"])
    assert usage["servers"] == ["the kitchen"]
    assert usage["cost"] > 0


def test_it_is_in_the_report_and_in_the_summary(judged):
    page = judged.path("results/report.html").read_text("utf-8")
    assert "the judgment of polly, a language model" in page
    assert "reference-overlap score" in page
    rows = csv.DictReader(judged.path("results/summary.csv").open(encoding="utf-8"))
    assert ("polly", "parrot") in {(row["judge"], row["backend"]) for row in rows}


def test_its_options_are_checked_with_the_nearest_name(project):
    project.change(judges__polly__sentense="Score: 43", judges__other={"backend": "parot"})
    outcome = project.run("-n", "results/scores.csv")
    assert outcome.code != 0
    assert "judges.polly.sentense: unknown key; did you mean sentence?" in outcome.text
    assert "judges.other.backend: unknown backend 'parot'; did you mean parrot?" in outcome.text


def test_it_is_in_the_schema(judged):
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "schema"],
        cwd=judged.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    definitions = json.loads(done.stdout)["$defs"]
    assert definitions["Parrot"]["properties"]["backend"]["const"] == "parrot"
    assert definitions["Parrot"]["properties"]["sentence"]["default"] == "Score: 42"


def test_editing_a_backend_reruns_only_judges_of_it(project):
    project.edit(PARROT, "answer_tokens=2", "answer_tokens=3")
    outcome = project.run("-n", "results/scores.csv")
    assert outcome.jobs == jobs_of("polly", "check_judge", "judge") | AFTER_JUDGES


def test_editing_the_backend_of_no_compared_judge_reruns_nothing(project):
    project.edit("workflow/lib/judge/backends/ollama.py", "cut=cut,", "cut=False,")
    outcome = project.run()
    assert outcome.code == 0
    assert "Nothing to be done" in outcome.text, outcome.jobs


def test_editing_overlap_reruns_only_the_overlap_judge(project):
    project.edit("workflow/lib/judge/backends/overlap.py", "round(70 *", "round(69 *")
    outcome = project.run("-n", "results/scores.csv")
    assert outcome.jobs == jobs_of("overlap", "judge") | AFTER_JUDGES


def test_editing_what_all_judges_share_reruns_all(project):
    project.edit("workflow/lib/judge/lengths.py", "[^\\w\\s]", "[^\\w\\s_]")
    outcome = project.run("-n", "results/scores.csv")
    expected = jobs_of("overlap", "judge") | jobs_of("polly", "check_judge", "judge")
    assert outcome.jobs == expected | AFTER_JUDGES

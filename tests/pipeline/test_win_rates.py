"""Win rates in whole runs: the baseline is part of the graph, and no reply is asked for twice."""

import csv
import os
import signal
import subprocess
import time

import pytest

from tests.support.judge_servers import FAST, Reply, ollama_server, running
from tests.support.project import Project, one_error

UNTUNED = {
    "dataset": "few",
    "training": {"epochs": 0, "learning_rate": 1e-3},
    "generation": {"max_new_tokens": 8},
}
PAIRS = {"backend": "overlap", "kind": "pairwise", "baseline": "quick-untuned"}


def rows_of(project: Project, name: str) -> list[dict[str, str]]:
    return [*csv.DictReader(project.path(name).open(encoding="utf-8"))]


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory) -> Project:
    """A finished project that is compared with the models before finetuning; not to be changed."""
    project = finished.copy(tmp_path_factory.mktemp("compared") / "project")
    project.change(
        **{"recipes__quick-untuned": UNTUNED},
        judges__pairs=PAIRS,
        compare__models=["tiny-a"],
        compare__recipes=["quick-untuned", "quick"],
        compare__judges=["overlap", "pairs"],
    )
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    pairs = {f"judge_pairs tiny-a {recipe} pairs" for recipe in ("quick", "quick-untuned")}
    assert pairs <= outcome.jobs
    assert not {job for job in outcome.jobs if job.startswith("check_judge")}
    assert "Win rates by pairs (reference overlap, not an LLM)" in outcome.text
    assert "tiny-a / quick-untuned: the baseline" in outcome.text
    return project


@pytest.fixture
def project(compared, tmp_path) -> Project:
    return compared.copy(tmp_path / "project")


def test_the_judge_by_overlap_prefers_what_scores_higher(compared):
    """Its true preference is known: the scores of the same judge."""
    scores = [
        [
            float(row["score"])
            for row in rows_of(compared, f"results/tiny-a/{recipe}/overlap/scores.csv")
        ]
        for recipe in ("quick", "quick-untuned")
    ]
    wins = rows_of(compared, "results/tiny-a/quick/pairs/wins.csv")
    assert len(wins) == 8
    for row, own, other in zip(wins, *scores, strict=True):
        expected = 0.5 if own == other else float(own > other)
        assert float(row["outcome"]) == expected
    base = rows_of(compared, "results/tiny-a/quick-untuned/pairs/wins.csv")
    assert {row["status"] for row in base} == {"same"}
    summary = rows_of(compared, "results/summary.csv")
    row = next(r for r in summary if (r["recipe"], r["judge"]) == ("quick", "pairs"))
    mean = 100 * sum(float(win["outcome"]) for win in wins) / len(wins)
    assert float(row["win_rate"]) == pytest.approx(mean, abs=1e-4)
    assert "Win rates by pairs" in compared.path("results/report.html").read_text("utf-8")
    again = compared.run()
    assert "Nothing to be done" in again.text, again.jobs


def test_a_changed_baseline_is_compared_again(project):
    project.change(**{"recipes__quick-untuned__generation__max_new_tokens": 5})
    outcome = project.run("-n", "results/tiny-a/quick/pairs/wins.csv")
    assert outcome.jobs == {"generate tiny-a quick-untuned", "judge_pairs tiny-a quick pairs"}


def test_a_baseline_that_is_not_compared_is_made_too(project):
    project.change(compare__recipes=["quick"])
    project.path("results/tiny-a/quick-untuned/responses.json").unlink()
    project.path("results/tiny-a/quick/pairs/wins.csv").unlink()
    outcome = project.run("-n", "results/scores.csv")
    assert {"generate tiny-a quick-untuned", "judge_pairs tiny-a quick pairs"} <= outcome.jobs


def test_a_baseline_of_other_entries_is_one_line(project):
    project.change(
        datasets__others={"url": project.path("overlay.yaml").as_posix(), "format": "json"},
        **{"recipes__quick-untuned__dataset": "others"},
        compare__recipes=["quick"],
    )
    said = one_error(project.run("-n", "results/scores.csv"))
    assert (
        "judges.pairs.baseline: quick-untuned is tested on the data set others, and quick" in said
    )


def test_a_killed_run_asks_no_question_twice(project):
    def behave(number: int, body: dict) -> Reply:
        return Reply("A" if number % 2 else "tie", delay=0.2)

    with running(ollama_server("llama3:latest")) as server:
        server.behave = behave
        judge = {"backend": "ollama", "model": "llama3", "url": server.address, "transport": FAST}
        project.change(
            judges__served={**judge, "kind": "pairwise", "baseline": "quick-untuned"},
            compare__judges=["overlap", "served"],
        )
        command = project.command()
        with subprocess.Popen(
            command,
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            deadline = time.monotonic() + 240
            while len(server.questions) < 4:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)  # with its job
            process.wait()
        subprocess.run([*command, "--unlock"], cwd=project.folder, check=True, capture_output=True)
        outcome = project.run("results/scores.csv", "--rerun-incomplete")
        assert outcome.code == 0, outcome.tail
        wins = rows_of(project, "results/tiny-a/quick/served/wins.csv")
        asked = [body["messages"][0]["content"] for body in server.questions]
        different = [row for row in wins if row["status"] != "same"]
        assert len(set(asked)) == 2 * len(different)
        assert len(asked) <= len(set(asked)) + 1  # one may have been under way
        assert "check_judge tiny-a quick-untuned served" not in outcome.jobs  # nothing to ask

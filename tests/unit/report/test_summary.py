"""scores.csv of all variants, summary.csv and the lines at the end of a run."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.report_case import write_quality, write_run, write_scores, write_usage
from workflow.lib.generation.record import write_generation
from workflow.lib.judge.scores import read_scores
from workflow.lib.report.all_scores import collect_scores
from workflow.lib.report.console import outcome_lines
from workflow.lib.report.summary import summarize
from workflow.lib.runtime.errors import UserError


def summary_of(folder: Path, rows: list[dict], seen=(), repeated=(), **usage) -> dict[str, str]:
    """The one row of summary.csv of one scores.csv, with test entries seen in training."""
    table = write_scores(folder / "strict" / "scores.csv", rows)
    write_usage(table.parent / "usage.json", **usage)
    training = {"seconds": 61.25, "training": {"epochs": 1, "seed": 3}, "device": "cpu"}
    training |= {"initial_losses": {"train": 3, "val": 4}, "versions": {"python": "3.11.2"}}
    (folder / "training.json").write_text(json.dumps(training))
    (folder / "losses.csv").write_text(
        "step,epoch,tokens_seen,train_loss,val_loss\n0,1,80,2.5,2.75\n5,1,160,1.25,1.5\n"
    )
    output = folder / "summary.csv"
    settings = {"prompt": "alpaca", "training": {"epochs": 1, "lora": None}}
    recipe = {"runs": ["plain"], "dataset": "words", "settings": settings}
    quality = write_quality(folder / "quality.json", len(rows), seen, repeated)
    summarize([table], {"plain": recipe}, {"words": quality}, output)
    [row] = csv.DictReader(output.open())
    return row


def test_what_was_seen_in_training_is_counted_and_left_out(tmp_path):
    """Two entries of one group and one of another; a score that is missing is left out anyway."""
    rows = [{"entry": n, "score": score} for n, score in enumerate((100, 90, 80, 10, 20))]
    rows.append({"entry": 5, "score": "", "status": "failed"})
    row = summary_of(tmp_path, rows, seen=[[0, 2], [1]])
    assert (row["mean"], row["seen_in_training"], row["mean_without_seen"]) == (
        "60.0000", "3", "15.0000",
    )  # fmt: skip
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), {"strict": ""})
    assert lines[2:4] == [
        "Average score: 60.00",
        "3 of 6 test entries (50%) also stand in training; without them 15.00",
    ]
    row = summary_of(tmp_path, rows, seen=[[*range(6)]])
    assert (row["seen_in_training"], row["mean_without_seen"]) == ("6", "")
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), {"strict": ""})
    assert "6 of 6 test entries (100%) also stand in training; no score is left without" in lines[3]
    row = summary_of(tmp_path, rows)
    assert (row["seen_in_training"], row["mean_without_seen"]) == ("0", "")
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), {"strict": ""})
    assert lines[2:4] == ["Average score: 60.00", ""]


def test_questions_that_the_test_set_repeats_are_counted(tmp_path):
    """In groups of equal entries, and of the same question with different answers, once each."""
    rows = [{"entry": n, "score": 50} for n in range(6)]
    row = summary_of(tmp_path, rows, repeated=[[0, 1, 4], [2, 3]])
    assert (row["repeated_in_test"], row["repeated_groups"]) == ("5", "2")
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), {"strict": ""})
    assert lines[3] == "5 of 6 test entries (83%) ask only 2 different questions"


def test_replies_asked_again_and_responses_cut_off_are_counted(tmp_path):
    rows = [{"entry": n, "score": 50, "asked_again": int(n > 3)} for n in range(6)]
    (tmp_path / "responses.json").write_text("[]")
    write_generation(tmp_path / "responses.json", 64, [1, 5])
    row = summary_of(tmp_path, rows)
    assert (row["asked_again"], row["cut_off"]) == ("2", "2")
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), {"strict": ""})
    assert lines[3] == "2 of 6 responses (33%) were cut off at generation.max_new_tokens"


def test_collecting_keeps_every_row_in_the_given_order(tmp_path):
    reply = 'One, "two",\nthree'
    second = write_scores(tmp_path / "b" / "scores.csv", [{"entry": 0, "score": 1, "reply": reply}])
    first = write_scores(
        tmp_path / "a" / "scores.csv",
        [{"entry": 0, "score": "", "status": "failed"}, {"entry": 1, "score": 7}],
    )
    collect_scores([second, first], tmp_path / "scores.csv")
    header, rest = second.read_text().split("\n", 1)
    _, others = first.read_text().split("\n", 1)
    assert (tmp_path / "scores.csv").read_text() == f"{header}\n{rest}{others}"


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_any_reply_comes_back_as_it_was(reply):
    with tempfile.TemporaryDirectory() as folder:
        table = write_scores(Path(folder) / "a.csv", [{"entry": 0, "score": 3, "reply": reply}])
        collect_scores([table], Path(folder) / "all.csv")
        assert read_scores(Path(folder) / "all.csv")[0].reply == reply


def test_a_reply_longer_than_csv_allows_by_itself_is_read(tmp_path):
    table = write_scores(tmp_path / "a.csv", [{"entry": 0, "score": 1, "reply": "x" * 200_000}])
    assert len(read_scores(table)[0].reply) == 200_000


def test_a_file_that_is_no_scores_csv_is_refused(tmp_path):
    (tmp_path / "scores.csv").write_text("model,score\na,1\n")
    with pytest.raises(UserError, match=r"scores.csv: lacks the columns entry, .*run again"):
        collect_scores([tmp_path / "scores.csv"], tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


def test_the_summary_by_hand(tmp_path):
    row = summary_of(
        tmp_path,
        [
            {"entry": 0, "score": 100, "exact_match": 1},
            {"entry": 1, "score": 50, "exact_match": "true"},
            {"entry": 2, "score": 30, "exact_match": "false"},
            {"entry": 3, "score": "", "status": "unparsed"},
            {"entry": 4, "score": "", "status": "failed"},
            {"entry": 5, "score": 0, "status": "empty", "response_tokens": 0},
        ],
    )
    assert row == {
        "model": "tiny",
        "recipe": "plain",
        "judge": "strict",
        "run_of": "",
        "seeds": "3",
        "backend": "overlap",
        "entries": "6",
        "scored": "3",
        "unparsed": "1",
        "failed": "1",
        "unrated": "0",
        "empty": "1",
        "asked_again": "0",
        "mean": "45.0000",
        "low": "",
        "high": "",
        "seed_spread": "",
        "seen_in_training": "0",
        "seen_groups": "0",
        "mean_without_seen": "",
        "repeated_in_test": "0",
        "repeated_groups": "0",
        "cut_off": "",
        "median": "40.0000",
        "exact_rate": "0.3333",
        "share_50": "0.5000",
        "judge_spread": "",
        "response_tokens": "20",
        "training_seconds": "61.2",
        "judge_tokens": "",
        "judge_seconds": "",
        "cost": "",
        "train_loss": "1.2500",
        "val_loss": "1.5000",
        "device": "cpu",
        "versions": "python=3.11.2",
        "differs_in": "",
        "prompt": "alpaca",
        "training.epochs": "1",
        "training.lora": "",
    }


def test_repeats_count_once_and_show_the_judges_spread(tmp_path):
    row = summary_of(
        tmp_path,
        [
            {"entry": 0, "repeat": 0, "score": 10},
            {"entry": 0, "repeat": 1, "score": 30},
            {"entry": 1, "repeat": 0, "score": 50},
            {"entry": 1, "repeat": 1, "score": "", "status": "unparsed"},
        ],
    )
    assert (row["entries"], row["scored"], row["unparsed"]) == ("2", "2", "0")
    assert row["mean"] == "35.0000"  # of 20 and 50
    assert row["judge_spread"] == "14.1421"  # of 10 and 30; a single score has none
    assert row["response_tokens"] == "8"


def test_an_interval_needs_ten_scores(tmp_path):
    rows = [{"entry": n, "score": 10 * n} for n in range(9)]
    assert summary_of(tmp_path / "nine", rows)["low"] == ""
    row = summary_of(tmp_path / "ten", [*rows, {"entry": 9, "score": 90}])
    assert float(row["low"]) < 45 < float(row["high"])


def test_no_scores_at_all_leave_the_mean_blank(tmp_path):
    row = summary_of(tmp_path, [{"entry": 0, "score": "", "status": "failed"}])
    assert (row["mean"], row["median"], row["share_50"], row["failed"]) == ("", "", "", "1")
    notes = {row["judge"]: ""}
    lines = outcome_lines(tmp_path / "summary.csv", Path("report.html"), notes)
    assert "Average score: none" in lines


def test_what_the_judging_took_is_shown_where_it_is_known(tmp_path):
    usage = {"backend": "openai", "answers": 2, "question_tokens": 300, "answer_tokens": 20}
    row = summary_of(tmp_path, [{"entry": 0, "score": 1}], **usage, seconds=3.21, cost=0.0012)
    assert (row["judge_tokens"], row["judge_seconds"], row["cost"]) == ("320", "3.2", "0.001200")


def test_a_summary_has_the_same_bytes_again(tmp_path):
    write_run(tmp_path / "one")
    write_run(tmp_path / "two")
    first, second = (tmp_path / name / "summary.csv" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_text().splitlines()) == 1 + 3 * 2


def test_a_run_ends_with_the_chapters_two_lines_for_every_variant(tmp_path):
    summary = tmp_path / "summary.csv"
    summary.write_text(
        "model,recipe,judge,run_of,seeds,backend,entries,scored,empty,mean,seed_spread,"
        "seen_in_training,mean_without_seen,differs_in\n"
        "nano-1M,small-world,overlap,,3,overlap,110,108,2,61.2345,,0,,\n"
        "nano-1M,small-world,llama3,,3,ollama,110,107,2,50.3200,,0,,\n"
        "nano-1M,long,llama3,,1 2,ollama,220,220,0,45.0000,7.0711,80,12.5,\n"
        '"nano-1M","long,seed=1",llama3,long,1,ollama,110,110,0,40.0000,,40,20,\n'
        '"nano-1M","long,seed=2",llama3,long,2,ollama,110,110,0,50.0000,,40,5,\n'
    )
    notes = {"overlap": "reference overlap, not an LLM", "llama3": ""}
    assert outcome_lines(summary, Path("results/report.html"), notes) == [
        "nano-1M / small-world, judged by overlap (reference overlap, not an LLM)",
        "Number of scores: 110 of 110",
        "Average score: 61.23",
        "",
        "nano-1M / small-world, judged by llama3",
        "Number of scores: 109 of 110",
        "Average score: 50.32",
        "",
        "nano-1M / long, judged by llama3",
        "Number of scores: 220 of 220",
        "Average score: 45.00 (seed 1: 40.00, seed 2: 50.00; standard deviation 7.07)",
        "40 of 110 test entries (36%) also stand in training; without them 12.50",
        "",
        "Report: results/report.html",
    ]


def test_more_than_four_variants_are_a_table_with_the_best_first(tmp_path):
    summary = tmp_path / "summary.csv"
    lines = [
        "model,recipe,judge,run_of,seeds,entries,scored,empty,mean,seed_spread,seen_in_training,"
        "mean_without_seen,differs_in"
    ]
    for number, mean in enumerate(["10", "", "100", "7.5", "55.125"]):
        lines.append(f'nano,r{number},overlap,,1,110,100,9,{mean},,0,,"epochs {number}, lora none"')
    summary.write_text("\n".join([*lines, ""]))
    assert outcome_lines(summary, Path("report.html"), {"overlap": "not an LLM"}) == [
        "Scores by overlap (not an LLM), best first:",
        "score   scored   variant    differs in",
        "100.00  109/110  nano / r2  epochs 2, lora none",
        "55.12   109/110  nano / r4  epochs 4, lora none",
        "10.00   109/110  nano / r0  epochs 0, lora none",
        "7.50    109/110  nano / r3  epochs 3, lora none",
        "none    109/110  nano / r1  epochs 1, lora none",
        "",
        "Report: report.html",
    ]


def test_the_snakefile_can_import_the_outcome_without_waiting():
    code = (
        "import sys, workflow.lib.report.console; "
        "sys.exit(bool({'numpy', 'scipy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

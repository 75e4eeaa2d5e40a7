"""Win rates in summary.csv, on the page and on the console agree, and trip nothing that scores."""

import csv
import html
import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT
from tests.support.report_case import write_run, write_usage
from workflow.lib.judge.wins import COLUMNS, Win, outcome_of, row_of
from workflow.lib.report.console import outcome_lines
from workflow.lib.report.page import write_report
from workflow.lib.report.parquet import write_parquet
from workflow.lib.report.summary import summarize
from workflow.lib.report.summary_rows import WIN_COLUMNS
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv

LABEL = {"pairs": "the judgment of llama3, a language model"}


def write_wins(run: Path, baseline: Path, entries: int = 30) -> Path:
    """Write the wins.csv of a run: two of three are won, some changed with the order."""
    same = run == baseline
    rows = []
    for number in range(entries):
        first, second = (
            ("loss", "loss") if number % 3 == 0 else ("win", "loss" if number % 7 == 1 else "win")
        )
        rows.append(
            Win(
                model=run.parent.name,
                recipe=run.name,
                judge="pairs",
                baseline=f"{baseline.parent.name}/{baseline.name}",
                entry=number,
                repeat=0,
                verdict_first="" if same else first,
                verdict_second="" if same else second,
                outcome=0.5 if same else outcome_of(first, second),
                status="same" if same else "judged",
                response_tokens=5 + number % 4,
                baseline_tokens=5 if same else 6,
                reply_first="A",
                reply_second="B",
                asked_again=0,
                prompt_sha256="",
                response_sha256="0",
                baseline_sha256="0",
            )
        )
    table = run / "pairs" / "wins.csv"
    table.parent.mkdir()
    write_csv(table, COLUMNS, map(row_of, rows), recorded=True)
    usage = {"backend": "ollama", "answers": 0 if same else 60, "question_tokens": 100, "cost": 0.5}
    write_usage(table.parent / "usage.json", **usage)
    return table


@pytest.fixture
def case(tmp_path):
    """A comparison with two judges that score and a pairwise one, all but the page."""
    found = write_run(tmp_path / "run")
    baseline = found["folders"][0]
    found["wins"] = [write_wins(folder, baseline) for folder in found["folders"]]
    return found


def _comparison(page: Path) -> str:
    part = page.read_text("utf-8").split('<section id="comparison">')[1].split("</section>")[0]
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", part).split()))


def finish(case: dict, output: Path) -> tuple[list[dict[str, str]], str]:
    """Write summary.csv and the page; the rows, and the text of the comparison."""
    wins = case.pop("wins")
    scores = [
        folder / judge / "scores.csv" for folder in case["folders"] for judge in case["judges"]
    ]
    summarize(scores, case["recipes"], case["qualities"], case["summary"], wins)
    write_report(**case, output=output, pairwise=LABEL)
    return [*csv.DictReader(case["summary"].open())], _comparison(output)


def test_the_summary_has_a_row_for_each_variant_beside_the_means(case, tmp_path):
    rows, _ = finish(case, tmp_path / "report.html")
    scored = [row for row in rows if row["judge"] != "pairs"]
    compared = {(r["model"], r["recipe"]): r for r in rows if r["judge"] == "pairs"}
    assert len(scored) == 6
    assert all(not any(row[column] for column in WIN_COLUMNS) for row in scored)
    assert all(row["mean"] for row in scored)
    assert len(compared) == 3
    row = compared["small", "plain"]
    assert (row["mean"], row["exact_rate"], row["entries"], row["scored"]) == ("", "", "30", "30")
    assert (row["wins"], row["ties"], row["losses"], row["disagreements"]) == ("16", "0", "10", "4")
    assert float(row["win_rate"]) == pytest.approx(100 * 18 / 30, abs=1e-4)
    assert float(row["win_low"]) < float(row["win_rate"]) < float(row["win_high"])
    assert (row["baseline"], row["backend"], row["cost"]) == (
        "tiny/plain-untuned",
        "ollama",
        "0.500000",
    )
    assert row["device"] == scored[-1]["device"]
    assert compared["tiny", "plain-untuned"]["win_rate"] == "50.0000"
    write_parquet(case["summary"], tmp_path / "summary.parquet")
    table = pq.read_table(tmp_path / "summary.parquet").to_pylist()
    assert [r["wins"] for r in table if r["judge"] == "pairs"] == [0, 16, 16]
    assert {type(r["win_rate"]) for r in table} == {float, type(None)}


def test_without_a_pairwise_judge_the_summary_is_as_it_was(tmp_path):
    case = write_run(tmp_path / "run")
    header = case["summary"].read_text().partition("\n")[0]
    assert not set(WIN_COLUMNS) & set(header.split(","))
    write_report(**case, output=tmp_path / "report.html")
    assert "Win rates by" not in _comparison(tmp_path / "report.html")


def test_page_console_and_summary_give_the_same_figures(case, tmp_path):
    rows, said = finish(case, tmp_path / "report.html")
    row = next(
        r for r in rows if (r["model"], r["recipe"], r["judge"]) == ("small", "plain", "pairs")
    )
    rate, low, high = (f"{float(row[name]):.1f}" for name in ("win_rate", "win_low", "win_high"))
    assert f"has a win rate of {rate}% against tiny/plain-untuned" in said
    assert f"{low} to {high}" in said
    assert "16 / 0 / 10" in said
    assert "the baseline" in said
    assert f"{float(row['lc_win_rate']):.1f}" in said
    more_than_luck = "more than luck" in said[said.index("has a win rate of") :]
    assert more_than_luck == (not float(low) <= 50 <= float(high))
    lines = outcome_lines(case["summary"], Path("report.html"), {})
    assert "Win rates by pairs, in percent of entries:" in lines
    assert "tiny / plain-untuned: the baseline" in lines
    [line] = [line for line in lines if line.startswith("small / plain against")]
    assert line.startswith(
        f"small / plain against tiny/plain-untuned: {float(row['win_rate']):.2f} ({low} to {high})"
    )
    assert lines.index("Win rates by pairs, in percent of entries:") > lines.index(
        "small / plain, judged by strict"
    )


def test_wins_of_other_entries_or_another_recipe_are_refused(case, tmp_path):
    broken = case["wins"][1]
    good = broken.read_text()
    shutil.rmtree(broken.parent)
    write_wins(case["folders"][1], case["folders"][0], entries=20)
    with pytest.raises(UserError, match="has 20 of 30 entries; delete it and run again"):
        finish(dict(case), tmp_path / "report.html")
    broken.write_text(good.replace(",plain,", ",other,"))
    with pytest.raises(UserError, match="changed since it was written"):
        finish(dict(case), tmp_path / "report.html")


def test_a_variant_with_seeds_has_one_win_rate_and_a_row_for_each_run(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",))
    untuned, first = case["folders"]
    runs = [first.with_name(f"plain,seed={seed}") for seed in (1, 2)]
    for run, seed in zip(runs, (1, 2), strict=True):
        shutil.copytree(first, run)
        training = json.loads((run / "training.json").read_text())
        training["training"]["seed"] = seed
        (run / "training.json").write_text(json.dumps(training))
        for judge in case["judges"]:
            table = run / judge / "scores.csv"
            table.write_text(table.read_text().replace(",plain,", f',"{run.name}",'))
    case["folders"] = [untuned, *runs]
    case["recipes"]["plain"]["runs"] = [run.name for run in runs]
    case["wins"] = [write_wins(folder, untuned) for folder in case["folders"]]
    rows, said = finish(case, tmp_path / "report.html")
    own = [(r["recipe"], r["run_of"], r["entries"]) for r in rows if r["judge"] == "pairs"]
    assert own == [
        ("plain-untuned", "", "30"),
        ("plain", "", "60"),
        ("plain,seed=1", "plain", "30"),
        ("plain,seed=2", "plain", "30"),
    ]
    assert said.count("has a win rate of") == 1


def test_every_column_is_described():
    text = (ROOT / "docs/results.md").read_text("utf-8")
    for heading, columns in (("## wins.csv", COLUMNS), ("### Pairwise judges", WIN_COLUMNS)):
        section = re.split(r"\n##+ ", text.partition(f"\n{heading}\n")[2])[0]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        described = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
        assert sorted(described) == sorted(columns)

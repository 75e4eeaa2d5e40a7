"""The agreement of raters of pairs, and of the other pairwise judges with them."""

import html
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.report_case import write_run, write_usage
from workflow.lib.judge.rows import text_sha256
from workflow.lib.judge.wins import COLUMNS, Win, outcome_of, row_of
from workflow.lib.report.page import write_report
from workflow.lib.report.people import corrected
from workflow.lib.report.people_pairs import compare_pair_raters
from workflow.lib.report.variants import Variant
from workflow.lib.runtime.files import write_csv


def variant(name, answers) -> Variant:
    entries = [
        {"instruction": f"{n}?", "input": "", "output": "x", "model_response": answer}
        for n, answer in enumerate(answers)
    ]
    return Variant(name, "m", name, "d", entries, [], [], {}, {})


def write_wins(results, name, answers, verdicts, baseline="m/b", judge="people", model="m"):
    """Write wins.csv: for each answer what each rater says, or a judge in both orders.

    None: not rated; same: nobody asked; two words: the verdicts of both orders.
    """
    rows = []
    for entry, row in enumerate(verdicts):
        for repeat, said in enumerate(row):
            first, second = "", ""
            if said not in (None, "same"):
                first, second = said.split() if " " in said else (said, "")
            status = said if said == "same" else "judged" if said else "unrated"
            outcome = 0.5 if said == "same" else outcome_of(first, second)
            rows.append(
                Win(
                    model, name, judge, baseline, entry, repeat, first, second, outcome, status,
                    1, 1, "", "", 0, "", text_sha256(answers[entry]), text_sha256("other"),
                )
            )  # fmt: skip
    folder = results / model / name / judge
    folder.mkdir(parents=True)
    write_csv(folder / "wins.csv", COLUMNS, map(row_of, rows), recorded=True)
    write_usage(folder / "usage.json", backend="people", answers=0)


def test_raters_of_pairs_agree_as_their_verdicts_do(tmp_path):
    answers = list("abcdef")
    verdicts = [
        ["win", "win"], ["loss", "loss"], ["win", "tie"], ["tie", "tie"], ["win", None],
        ["same", "same"],
    ]  # fmt: skip
    for name in ("v", "w"):  # the same answers of two variants count once
        write_wins(tmp_path, name, answers, verdicts)
    write_wins(tmp_path, "b", answers, [["same", "same"]] * 6)
    variants = [variant(name, answers) for name in ("v", "w", "b")]
    [found] = compare_pair_raters(variants, ["people"], ["people"], tmp_path)
    assert (found.raters, found.answers, found.several) == (2, 5, 4)
    assert (found.level, found.judges) == ("ordinal", [])
    # By hand: 8 verdicts, 3 wins, 3 ties, 2 losses; win and tie are 3 ranks apart, tie
    # and loss 2.5, win and loss 5.5. One pair of raters of four disagrees, by 3.
    observed = 2 * 3**2 / 8
    expected = 2 * (3 * 3 * 3**2 + 3 * 2 * 2.5**2 + 3 * 2 * 5.5**2) / (8 * 7)
    assert found.alpha == pytest.approx(1 - observed / expected)


def test_a_pair_rated_for_one_variant_alone_is_no_agreement(tmp_path):
    write_wins(tmp_path, "v", ["a", "b"], [["win"], ["loss"]])
    [found] = compare_pair_raters([variant("v", ["a", "b"])], ["people"], ["people"], tmp_path)
    assert (found.raters, found.answers, found.several, found.alpha) == (1, 2, 0, None)


def compared(tmp_path, people, judge, **changes):
    """The judge beside people, who both compare the same pairs of one variant."""
    answers = [f"a{n}" for n in range(len(people))]
    write_wins(tmp_path, "v", answers, people)
    write_wins(tmp_path, "v", answers, judge, judge="judge", **changes)
    [found] = compare_pair_raters(
        [variant("v", answers)], ["people", "judge"], ["people"], tmp_path
    )
    return found.judges


def test_ties_and_changed_orders_are_half_an_agreement(tmp_path):
    people = [["win"], ["loss"], ["win"], ["win"], ["tie"], ["tie"], ["loss"], [None], ["same"]]
    judge = [
        ["win win"], ["loss loss"], ["loss loss"], ["win loss"], ["loss win"], ["win win"],
        ["tie tie"], ["win win"], ["same"],
    ]  # fmt: skip
    [found] = compared(tmp_path, people, judge)
    assert (found.judge, found.pairs) == ("judge", 7)
    # 1 + 1 + 0, win and changed 1/2, tie and changed 1, tie and win 1/2, loss and tie 1/2
    assert found.agreement == pytest.approx(100 * 4.5 / 7)
    assert found.interval is None
    # By hand, 7 units of two: 14 values, 5 wins, 5 halves, 4 losses; a win and a half are 5 ranks
    # apart, a half and a loss 4.5, a win and a loss 9.5.
    observed = 2 * (9.5**2 + 5**2 + 5**2 + 4.5**2) / 14
    expected = 2 * (5 * 5 * 5**2 + 5 * 4 * 4.5**2 + 5 * 4 * 9.5**2) / (14 * 13)
    assert found.alpha == pytest.approx(1 - observed / expected)
    [row] = found.corrected
    assert (row.rated, row.unrated, row.mean) == (7, 1, None)
    assert row.judged == pytest.approx(100 * (1 + 0 + 0 + 0.5 + 0.5 + 1 + 0.5 + 1 + 0.5) / 9)


def test_with_several_raters_each_counts(tmp_path):
    [found] = compared(tmp_path, [["win", "loss"], ["win", "win"]], [["win loss"], ["win win"]])
    assert found.agreement == pytest.approx(75)


def test_the_same_pair_of_several_variants_counts_once(tmp_path):
    for name in ("v", "w"):
        write_wins(tmp_path, name, list("ab"), [["win"], ["loss"]])
        write_wins(tmp_path, name, list("ab"), [["win win"], ["win win"]], judge="judge")
    variants = [variant(name, list("ab")) for name in ("v", "w")]
    [found] = compare_pair_raters(variants, ["people", "judge"], ["people"], tmp_path)
    [judge] = found.judges
    assert (judge.pairs, judge.agreement, len(judge.corrected)) == (2, 50, 2)


def test_a_judge_with_another_baseline_is_not_compared(tmp_path):
    assert compared(tmp_path, [["win"]], [["win win"]], baseline="m/c") == []


def test_a_judge_that_always_agrees_has_an_exact_interval(tmp_path):
    both = ["win", "loss"] * 10
    [found] = compared(tmp_path, [[one] for one in both], [[f"{one} {one}"] for one in both])
    assert (found.agreement, found.interval.high, found.alpha) == (100, 100, 1)
    assert found.interval.low == pytest.approx(100 * 0.025 ** (1 / 20))


def test_a_judge_that_answers_at_random_agrees_by_chance(tmp_path):
    rng = np.random.default_rng(4)
    people = [[word] for word in rng.choice(["win", "loss"], 400)]
    judge = [[f"{word} {word}"] for word in rng.choice(["win", "loss"], 400)]
    [found] = compared(tmp_path, people, judge)
    assert found.interval.low < 50 < found.interval.high
    assert found.alpha == pytest.approx(0, abs=0.1)


TRUTH = 0.8 * 40 + 0.2 * 50


def simulated(rng, rated=60, entries=400):
    """What people and a judge say of each entry: people of the first ones alone.

    A fifth of the answers are the same. Of the others people prefer 40%, and the judge takes half
    of their losses for wins.
    """
    people, judge = [], []
    for entry in range(entries):
        if rng.random() < 0.2:
            people.append(["same"])
            judge.append(["same"])
            continue
        wins = rng.random() < 0.4
        found = "win" if wins or rng.random() < 0.5 else "loss"
        people.append([("win" if wins else "loss") if entry < rated else None])
        judge.append([f"{found} {found}"])
    return people, judge


def test_the_win_rate_is_corrected_to_that_of_people(tmp_path):
    rng = np.random.default_rng(5)
    found = [
        judge for number in range(30) for judge in compared(tmp_path / str(number), *simulated(rng))
    ]
    assert np.mean([judge.agreement for judge in found]) == pytest.approx(70, abs=3)
    rows = [row for judge in found for row in judge.corrected]
    assert np.mean([row.judged for row in rows]) == pytest.approx(0.8 * 70 + 10, abs=1)
    assert np.mean([row.mean for row in rows]) == pytest.approx(TRUTH, abs=3)


def test_the_interval_of_the_corrected_rate_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(6), 0
    value = {"win": 100.0, "win win": 100.0, "loss": 0.0, "loss loss": 0.0}
    for _ in range(1000):
        people, judge = simulated(rng)
        rated, judged = (
            {n: value[said] for n, [said] in enumerate(each) if said in value}
            for each in (people, judge)
        )
        known = [50.0] * sum(said == "same" for [said] in judge)
        interval = corrected(variant("v", []), rated, judged, known).interval
        covered += interval.low <= TRUTH <= interval.high
    assert 930 <= covered <= 970


def test_the_page_says_how_far_a_judge_agrees_and_what_the_correction_gives(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",))
    tuned = case["folders"][1]
    answers = [f"a{n}" for n in range(30)]
    for folder in case["folders"]:
        is_baseline = folder != tuned
        for judge, said in (("people", None), ("pairs", "win win")):
            verdicts = [
                [
                    "same"
                    if is_baseline
                    else said or (("loss" if n % 3 else "win") if n < 15 else None)
                ]
                for n in range(30)
            ]
            write_wins(
                folder.parents[1], folder.name, answers, verdicts, "tiny/plain-untuned", judge,
                "tiny",
            )  # fmt: skip
    case["settings"]["judges"]["people"] = {"backend": "people", "ratings": ["a.csv"]}
    output = tmp_path / "report.html"
    write_report(
        **case, output=output, pairwise={"people": "the ratings of people", "pairs": "a model"}
    )
    part = Path(output).read_text("utf-8").split("Agreement with people")[1].split("</section>")[0]
    said = html.unescape(" ".join(re.sub(r"<[^>]+>", " ", part).split()))
    assert "1 rater compared 15 different pairs of answers." in said
    assert (
        "pairs beside people On the 15 different pairs compared by both, pairs agrees with" in said
    )
    assert "people on 33.3% of them (95% interval " in said
    assert "Krippendorff's alpha (ordinal level) is −0.45" in said
    assert re.search(r"tiny / plain 15 15 100\.0 33\.3 \(\d+\.\d to \d+\.\d\)", said)
    assert "are half an agreement" in said

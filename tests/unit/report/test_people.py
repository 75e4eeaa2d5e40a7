"""The agreement of raters, and of the other judges with them."""

import numpy as np
import pytest

from workflow.lib.judge.rows import by_entry, text_sha256
from workflow.lib.judge.scores import Verdict
from workflow.lib.judge.wins import COLUMNS, Win, outcome_of, row_of
from workflow.lib.report.people import compare_with_people
from workflow.lib.report.people_pairs import compare_pair_raters
from workflow.lib.report.variants import Judging, Variant
from workflow.lib.runtime.files import write_csv


def judging(answers, scores) -> Judging:
    """Verdicts: for each answer a list of scores, one of each rater."""
    verdicts = [
        Verdict(
            "m", "r", "j", entry, repeat, score, "unrated" if score is None else "scored",
            0, 1, "", "", text_sha256(answers[entry]),
        )
        for entry, row in enumerate(scores)
        for repeat, score in enumerate(row)
    ]  # fmt: skip
    return Judging(by_entry(verdicts), {}, {})


def variant(name, answers, **judges) -> Variant:
    entries = [
        {"instruction": f"{n}?", "input": "", "output": "x", "model_response": answer}
        for n, answer in enumerate(answers)
    ]
    judged = {judge: judging(answers, scores) for judge, scores in judges.items()}
    return Variant(name, "m", name, "d", entries, [], [], {}, judged)


def test_alpha_is_the_published_example():
    """Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, example C: 0.849."""
    raters = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    scores = [list(row) for row in zip(*raters, strict=True)]
    one = variant("v", [f"a{n}" for n in range(12)], people=scores)
    [found] = compare_with_people([one], ["people"], ["people"])
    assert (found.raters, found.answers, found.several) == (4, 12, 11)
    assert found.alpha == pytest.approx(0.849, abs=0.0005)


def test_an_answer_of_several_variants_counts_once():
    scores = [[10, 20], [30, 30], [90, 80]]
    both = [variant(name, ["a", "b", "c"], people=scores) for name in ("v", "w")]
    [twice] = compare_with_people(both, ["people"], ["people"])
    [once] = compare_with_people(both[:1], ["people"], ["people"])
    assert twice == once
    assert once.answers == 3


@pytest.mark.parametrize("scores", [[[10], [20]], [[10, 10], [10, 10]], [[1, None], [None, 2]]])
def test_without_something_to_agree_on_there_is_no_alpha(scores):
    [found] = compare_with_people([variant("v", ["a", "b"], people=scores)], ["people"], ["people"])
    assert found.alpha is None


def simulated(rng, rated=40, entries=400):
    """A judge that is 15 points too kind, and noisy; people rate some of the entries."""
    true = rng.uniform(0, 80, entries)
    judge = true + 15 + rng.normal(0, 5, entries)
    people = [[float(score)] if n < rated else [None] for n, score in enumerate(true)]
    answers = [f"a{n}" for n in range(entries)]
    one = variant("v", answers, people=people, judge=[[float(score)] for score in judge])
    [found] = compare_with_people([one], ["judge", "people"], ["people"])
    return found.judges[0]


def test_the_estimate_takes_away_what_the_judge_adds():
    found = simulated(np.random.default_rng(1))
    assert found.answers == 40
    assert found.difference == pytest.approx(15, abs=3)
    assert found.difference_interval.low < 15 < found.difference_interval.high
    assert found.interval.low < found.correlation < found.interval.high
    [row] = found.corrected
    assert (row.rated, row.unrated) == (40, 360)
    assert row.mean == pytest.approx(40, abs=4)


def test_the_interval_of_the_estimate_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(2)
    intervals = [simulated(rng).corrected[0].interval for _ in range(100)]
    assert 88 <= sum(interval.low <= 40 <= interval.high for interval in intervals) <= 100


def test_no_estimate_is_beyond_the_scale():
    people = [[100.0]] * 12 + [[None]] * 12
    judge = [[50.0 + n] for n in range(12)] + [[90.0 + n / 2] for n in range(12)]
    one = variant("v", [f"a{n}" for n in range(24)], people=people, judge=judge)
    [found] = compare_with_people([one], ["judge", "people"], ["people"])
    [row] = found.judges[0].corrected
    assert row.mean == row.interval.high == 100
    assert row.interval.low <= 100


def test_with_few_ratings_there_is_no_number():
    found = simulated(np.random.default_rng(3), rated=9)
    assert (found.correlation, found.interval, found.difference_interval) == (None, None, None)
    assert (found.corrected[0].mean, found.corrected[0].interval) == (None, None)


def write_wins(results, name, answers, verdicts, baseline="m/b"):
    """Write wins.csv: for each answer what each rater says, None: not rated, same: nobody asked."""
    rows = []
    for entry, row in enumerate(verdicts):
        for repeat, said in enumerate(row):
            verdict = "" if said in (None, "same") else said
            status = said if said == "same" else "judged" if said else "unrated"
            outcome = 0.5 if said == "same" else outcome_of(verdict, "")
            rows.append(
                Win(
                    "m", name, "people", baseline, entry, repeat, verdict, "", outcome, status,
                    1, 1, "", "", 0, "", text_sha256(answers[entry]), text_sha256("other"),
                )
            )  # fmt: skip
    folder = results / "m" / name / "people"
    folder.mkdir(parents=True)
    write_csv(folder / "wins.csv", COLUMNS, map(row_of, rows), recorded=True)


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

"""The agreement of raters, and of the other judges with them."""

import numpy as np
import pytest

from workflow.lib.judge.rows import by_entry, text_sha256
from workflow.lib.judge.scores import Verdict
from workflow.lib.report.people import compare_with_people
from workflow.lib.report.variants import Judging, Variant


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

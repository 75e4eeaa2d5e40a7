"""Comparisons of variants, held to hand-made figures, to scipy and to simulated luck."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_rel

from tests.support.simulated_runs import compared, numbered, simulate
from workflow.lib.report.replicates import (
    compare,
    interval_of_runs,
    mean_of_runs,
    spread_of_runs,
)

pytestmark = pytest.mark.filterwarnings("error")

scores = st.dictionaries(st.integers(0, 30), st.integers(0, 100), min_size=1, max_size=30)


def test_only_entries_scored_in_every_run_are_compared():
    result = compare([{0: 50, 1: 90, 2: 10}], [{1: 40, 2: 10, 3: 0}])
    assert (result.entries, result.difference) == (2, 25)
    assert compare([{0: 50}], [{1: 50}]) is None
    result = compare([{0: 50, 1: 90}, {1: 70}], [{0: 0, 1: 60}])
    assert (result.entries, result.difference, result.runs) == (1, 20, (2, 1))


def test_wins_begin_at_the_margin():
    first = dict(enumerate([55, 54, 50, 46, 45]))
    result = compare([first], [dict.fromkeys(range(5), 50)])
    assert (result.wins, result.ties, result.losses) == (1, 3, 1)


def test_with_one_seed_it_is_the_paired_t_test():
    table = np.random.default_rng(3).normal((52, 50), 10, (60, 2))
    expected = ttest_rel(*table.T)
    result = compare(*[numbered([column]) for column in table.T])
    assert result.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (result.interval.low, result.interval.high) == pytest.approx(tuple(interval))
    assert not result.covers_seeds


def test_variance_components_by_hand():
    # Twelve entries alternate by 10 points; the runs of the first variant are 8 points apart, and
    # every entry moves by the same from run to run.
    entries = np.tile([0.0, 10.0], 6)
    first = numbered([50 + entries, 58 + entries])
    second = numbered([30 + 0 * entries])
    result = compare(first, second, (False, True))
    between_entries = 12 / 11 * 25 / 12  # variance of the differences, over twelve entries
    between_seeds = 32 / 2  # variance of 50 and 58, over two runs
    variance = between_entries + between_seeds
    freedom = variance**2 / (between_entries**2 / 11 + between_seeds**2 / 1)
    assert result.difference == 29
    assert result.p_value == pytest.approx(2 * t.sf(29 / variance**0.5, freedom))
    assert result.interval.high - 29 == pytest.approx(variance**0.5 * t.ppf(0.975, freedom))
    assert result.covers_seeds


def test_seeds_count_once_for_how_much_single_entries_move():
    # Runs whose means agree: entries that move at random are luck of the entries alone.
    generator = np.random.default_rng(5)
    table = generator.normal(50, 20, (3, 40))
    table += 50 - table.mean(1, keepdims=True)
    other = generator.normal(45, 20, (1, 40))
    result = compare(numbered(table), numbered(other), (False, True))
    expected = ttest_rel(table.mean(0), other[0])
    assert result.p_value == pytest.approx(expected.pvalue)


def test_a_single_run_borrows_the_spread_of_the_other_variants_seeds():
    generator = np.random.default_rng(1)
    one, several = generator.normal(50, 5, (1, 30)), generator.normal(50, 5, (3, 30))
    several += np.array([[-20.0], [0.0], [20.0]])
    alone = compare(numbered(one), numbered(several[:1]))
    borrowed = compare(numbered(one), numbered(several))
    fixed = compare(numbered(one), numbered(several), (True, False))
    widths = [r.interval.high - r.interval.low for r in (alone, fixed, borrowed)]
    assert widths[0] < widths[1] < widths[2]
    assert not alone.covers_seeds
    assert fixed.covers_seeds and borrowed.covers_seeds


def test_identical_variants_are_no_different():
    same = [dict(enumerate(range(40)))]
    result = compare(same, same)
    assert (result.difference, result.interval, result.p_value, result.ties) == (0, None, None, 40)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_entries_show_nothing(count):
    result = compare(numbered([range(count)]), numbered([[0] * count]))
    assert (result.entries, result.interval, result.p_value) == (count, None, None)


def test_the_same_difference_everywhere_shows_nothing():
    result = compare(numbered([[70] * 50]), numbered([[60] * 50]))
    assert (result.difference, result.interval, result.p_value) == (10, None, None)


runs = st.lists(scores, min_size=1, max_size=3)


@settings(max_examples=50, deadline=None)
@given(runs, runs)
def test_interval_and_p_value_never_contradict_each_other_whichever_comes_first(first, second):
    result, turned = compare(first, second), compare(second, first)
    if result is None:
        assert turned is None
        return
    assert turned.difference == pytest.approx(-result.difference)
    assert (turned.wins, turned.ties, turned.losses) == (result.losses, result.ties, result.wins)
    assert result.wins + result.ties + result.losses == result.entries
    assert turned.p_value == pytest.approx(result.p_value) if result.p_value else True
    assert (result.interval is None) == (result.p_value is None)
    if result.interval:
        excludes_zero = result.interval.low > 0 or result.interval.high < 0
        assert excludes_zero == (result.p_value < 0.05)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_equal_variants_are_told_apart_no_more_often_than_the_test_allows(runs):
    false = sum(result.p_value < 0.05 for result in compared(runs))
    # 5% of 200; a binomial count exceeds 19 in 3 of 1,000 cases.
    assert false <= 19


def test_one_seed_each_is_told_apart_too_often_and_says_that_seeds_are_not_covered():
    results = list(compared(1))
    assert sum(result.p_value < 0.05 for result in results) > 40
    assert not any(result.covers_seeds for result in results)


def test_a_true_difference_is_found_with_three_seeds():
    generator = np.random.default_rng(2)
    found = 0
    for _ in range(50):
        better, worse = simulate(generator, 3, seed_noise=0.05)
        better = [{entry: min(100, score + 60) for entry, score in run.items()} for run in better]
        found += compare(better, worse).p_value < 0.05
    assert found > 45


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        table = (
            50
            + generator.normal(0, 15, 40)
            + generator.normal(0, 4, (3, 1))
            + generator.normal(0, 8, (3, 40))
        )
        interval = interval_of_runs(numbered(table))
        covered += interval.low <= 50 <= interval.high
    assert covered >= 181  # 95% of 200; fewer in 3 of 1,000 cases


def test_the_interval_of_a_mean_stays_on_the_scale():
    interval = interval_of_runs(numbered([[0] * 19 + [20], [0] * 19 + [90]]))
    assert interval.low == 0
    assert interval_of_runs(numbered([[5] * 20, [5] * 20])) is None
    assert interval_of_runs(numbered([range(9), range(9)])) is None
    assert interval_of_runs([{0: 1.0}, {1: 1.0}]) is None


def test_means_and_spread_over_runs_by_hand():
    runs = [{0: 10, 1: 30, 2: 5}, {0: 20, 1: 50}]
    assert mean_of_runs(runs) == {0: 15, 1: 40}
    assert spread_of_runs(runs) == pytest.approx(20 / 2**0.5)  # means of 15 and 35
    assert spread_of_runs(runs[:1]) is None

"""Intervals, paired comparisons and agreement, held to hand-made and independent figures."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, permutation_test

from workflow.lib.report.statistics import agreement, compare, holm, mean_interval, rank_correlation

pytestmark = pytest.mark.filterwarnings("error")

scores = st.dictionaries(st.integers(0, 30), st.integers(0, 100), min_size=1, max_size=30)


def test_the_interval_is_the_bias_corrected_and_accelerated_one():
    sample = np.random.default_rng(1).exponential(20, 40)
    interval = mean_interval(sample)
    # Efron's formulas, written down independently, on resamples of its own.
    generator = np.random.default_rng(2)
    means = np.sort(generator.choice(sample, (20000, len(sample))).mean(1))
    bias = norm.ppf((means < sample.mean()).mean())
    left_out = (sample.sum() - sample) / (len(sample) - 1)
    skew = left_out.mean() - left_out
    speed = (skew**3).sum() / (6 * (skew**2).sum() ** 1.5)
    for end, level in ((interval.low, 0.025), (interval.high, 0.975)):
        z = bias + norm.ppf(level)
        expected = np.quantile(means, norm.cdf(bias + z / (1 - speed * z)))
        assert end == pytest.approx(expected, abs=0.4)


def test_fewer_than_ten_values_have_no_interval():
    assert mean_interval(range(9)) is None
    assert mean_interval(range(10)) is not None


def test_equal_values_have_no_interval():
    assert mean_interval([70.0] * 50) is None


def test_an_interval_of_nearly_equal_values_needs_no_warning():
    interval = mean_interval([0.0] * 49 + [100.0])
    assert 0 <= interval.low < 2 < interval.high < 20


def test_the_same_scores_have_the_same_interval():
    assert mean_interval(range(40)) == mean_interval(range(40))


def test_only_entries_scored_for_both_are_compared():
    result = compare({0: 50, 1: 90, 2: 10}, {1: 40, 2: 10, 3: 0})
    assert (result.entries, result.difference) == (2, 25)
    assert compare({0: 50}, {1: 50}) is None


def test_wins_begin_at_the_margin():
    first = dict(enumerate([55, 54, 50, 46, 45]))
    result = compare(first, dict.fromkeys(range(5), 50))
    assert (result.wins, result.ties, result.losses) == (1, 3, 1)


def test_the_p_value_is_that_of_all_sign_flips():
    differences = [12, -3, 8, 20, 5, -9, 14, 7, 0, 3, 11, -2]
    flipped = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=12)]
    exact = np.mean([value >= sum(differences) for value in flipped])
    assert compare(dict(enumerate(differences)), dict.fromkeys(range(12), 0)).p_value == (
        pytest.approx(exact, abs=0.01)
    )


def test_the_p_value_is_that_of_scipy():
    differences = np.random.default_rng(3).normal(2, 10, 60)
    expected = permutation_test((differences,), np.mean, permutation_type="samples", rng=1).pvalue
    result = compare(dict(enumerate(differences)), dict.fromkeys(range(60), 0.0))
    assert result.p_value == pytest.approx(expected, abs=0.015)


def test_identical_variants_are_no_different():
    same = dict(enumerate(range(40)))
    result = compare(same, same)
    assert (result.difference, result.interval, result.p_value, result.ties) == (0, None, 1, 40)


def test_one_entry_shows_nothing():
    result = compare({0: 100}, {0: 0})
    assert (result.entries, result.interval, result.p_value) == (1, None, 1)


@settings(max_examples=25, deadline=None)
@given(scores, scores)
def test_a_comparison_turned_round_says_the_same(first, second):
    result, turned = compare(first, second), compare(second, first)
    if result is None:
        assert turned is None
        return
    assert turned.difference == pytest.approx(-result.difference)
    assert (turned.wins, turned.ties, turned.losses) == (result.losses, result.ties, result.wins)
    assert result.wins + result.ties + result.losses == result.entries
    assert turned.p_value == result.p_value
    assert 0 < result.p_value <= 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(p_values):
    corrected = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(corrected)


def test_agreement_by_hand():
    result = agreement([10, 20, 30, 40], [10, 30, 20, 80])
    # Centered: (-15, -5, 5, 15) and (-25, -5, -15, 45): 1000 / sqrt(500 * 2900).
    assert result.pearson == pytest.approx(1000 / (500 * 2900) ** 0.5)
    assert result.spearman == pytest.approx(0.8)
    assert result.kendall == pytest.approx(4 / 6)  # five pairs in order, one not
    assert (result.mean_absolute_error, result.bias, result.entries) == (15, -10, 4)


def test_agreement_of_a_judge_that_never_varies_has_no_correlation():
    result = agreement([50, 50, 50], [10, 20, 30])
    assert (result.pearson, result.spearman, result.kendall) == (None, None, None)
    assert result.mean_absolute_error == 30
    assert agreement([], []) is None


def test_ranks_are_correlated_whatever_their_distance():
    assert rank_correlation([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2], [1, 2]) is None

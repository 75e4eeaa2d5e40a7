"""Intervals, corrected p-values and agreement, held to hand-made and independent figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from workflow.lib.report.statistics import agreement, holm, mean_interval, rank_correlation

pytestmark = pytest.mark.filterwarnings("error")


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

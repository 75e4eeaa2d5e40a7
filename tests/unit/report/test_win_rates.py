"""Win rates: counted by entry, with intervals that hold, and controlled for length as published."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from workflow.lib.judge.wins import Win, outcome_of
from workflow.lib.report.length_controlled import length_controlled
from workflow.lib.report.win_lines import win_lines
from workflow.lib.report.win_rates import win_rate


def a_win(entry: int, first: str, second: str, repeat: int = 0, **others) -> Win:
    usual = {
        "model": "m", "recipe": "r", "judge": "j", "baseline": "m/b", "status": "judged",
        "response_tokens": 10 + entry % 7, "baseline_tokens": 12, "reply_first": "",
        "reply_second": "", "asked_again": 0, "prompt_sha256": "", "response_sha256": "",
        "baseline_sha256": "", "outcome": outcome_of(first, second),
    }  # fmt: skip
    return Win(
        entry=entry,
        repeat=repeat,
        verdict_first=first,
        verdict_second=second,
        **{**usual, **others},
    )


def mirrored(win: Win) -> Win:
    """Return the same comparison with the roles of variant and baseline exchanged."""
    other = {"win": "loss", "loss": "win", "tie": "tie", "": ""}
    return a_win(
        win.entry,
        other[win.verdict_second],
        other[win.verdict_first],
        response_tokens=win.baseline_tokens,
        baseline_tokens=win.response_tokens,
    )


def some_wins(count: int = 40, seed: int = 0) -> list[Win]:
    rng = np.random.default_rng(seed)
    pairs = [("win", "win"), ("win", "loss"), ("loss", "loss"), ("tie", "tie")]
    chosen = rng.choice(len(pairs), count, p=[0.5, 0.2, 0.2, 0.1])
    return [
        a_win(n, *pairs[k], response_tokens=int(rng.integers(1, 40))) for n, k in enumerate(chosen)
    ]


def test_a_win_rate_by_hand():
    wins = [a_win(n, "win", "win") for n in range(6)] + [a_win(n, "win", "loss") for n in (6, 7)]
    wins += [a_win(8, "loss", "loss"), a_win(9, "tie", "tie")]
    found = win_rate([wins])
    assert found.rate == pytest.approx(75)  # (6 + 3 x 0.5) / 10
    assert (found.wins, found.ties, found.losses, found.disagreements) == (6, 1, 1, 2)
    assert found.interval.low < 75 < found.interval.high <= 100
    assert found.p_value == pytest.approx(0.0522, abs=1e-4)  # t = 25 / 11.18, 9 degrees
    assert (found.interval.low > 50) == (found.p_value < 0.05)
    assert found.first == pytest.approx(60)  # 2 of 10 entries have both verdicts for the first


def test_entries_without_a_verdict_are_left_out_and_counted():
    wins = [a_win(n, "win", "win") for n in range(11)]
    wins += [a_win(11, "", "loss", status="unparsed", outcome=None)]
    wins += [a_win(12, "", "", status="failed", outcome=None)]
    wins += [a_win(13, "", "", status="same", outcome=0.5)]
    found = win_rate([wins])
    assert found.rate == pytest.approx(100 * 11.5 / 12)
    assert found.statuses == {"judged": 11, "same": 1, "unparsed": 1, "failed": 1, "unrated": 0}
    assert found.entries == 14


def test_pairs_that_people_saw_in_one_order_alone_count_and_those_that_nobody_rated_do_not():
    wins = [a_win(n, *(("win", "") if n % 2 else ("", "loss"))) for n in range(12)]
    wins += [a_win(n, "", "", status="unrated", outcome=None) for n in range(12, 40)]
    found = win_rate([wins])
    assert found.one_order
    assert (found.rate, found.disagreements, found.statuses["unrated"]) == (50, 0, 28)
    assert found.first == 100  # each time the response that stood first
    assert not win_rate([some_wins()]).one_order


def test_repeats_of_an_entry_count_once():
    wins = [a_win(n, "win", "win") for n in range(10)]
    wins += [a_win(n, "loss", "loss", repeat=1) for n in range(10)]
    wins += [a_win(10, "win", "win"), a_win(10, "win", "win", repeat=1)]
    assert win_rate([wins]).rate == pytest.approx(100 * (10 * 0.5 + 1) / 11)


def test_few_entries_and_equal_outcomes_have_no_interval():
    few = win_rate([[a_win(n, "win", "win") for n in range(5)]])
    assert few.rate == 100
    assert few.interval is few.p_value is few.controlled is None
    assert "fewer than 10 entries" in few.uncontrolled
    same = win_rate([[a_win(n, "win", "win") for n in range(30)]])
    assert (same.rate, same.interval, same.p_value) == (100, None, None)
    assert same.uncontrolled == "every comparison has the same outcome"
    nothing = win_rate([[a_win(0, "", "", status="failed", outcome=None)]])
    assert nothing.rate is nothing.controlled is nothing.first is None


def test_the_baseline_itself_is_even():
    wins = [
        a_win(n, "", "", status="same", outcome=0.5, baseline="m/r", response_tokens=12)
        for n in range(20)
    ]
    found = win_rate([wins])
    assert found.is_baseline
    assert (found.rate, found.controlled) == (50, 50)
    assert found.interval is found.first is None


def test_exchanging_both_roles_mirrors_every_rate():
    wins = some_wins()
    found, mirror = win_rate([wins]), win_rate([[mirrored(win) for win in wins]])
    assert found.rate + mirror.rate == pytest.approx(100)
    assert found.controlled + mirror.controlled == pytest.approx(100, abs=1e-4)
    assert found.first == pytest.approx(mirror.first)
    assert found.p_value == pytest.approx(mirror.p_value)
    assert found.interval.low + mirror.interval.high == pytest.approx(100)


def test_a_judge_that_favors_the_first_place_is_shown():
    wins = [a_win(n, "win", "loss") for n in range(20)] + [a_win(20, "win", "win")]
    found = win_rate([wins])
    assert found.first == pytest.approx(100 * 20.5 / 21)
    assert found.first_interval.low > 90
    assert found.disagreements == 20


def test_several_seeds_widen_the_interval():
    def run(share: float, seed: int) -> list[Win]:
        rng = np.random.default_rng(seed)
        said = ["win" if x < share else "loss" for x in rng.random(60)]
        return [a_win(n, each, each) for n, each in enumerate(said)]

    runs = [run(0.45, 1), run(0.7, 2), run(0.95, 3)]
    several, one = win_rate(runs), win_rate(runs[1:2])
    assert several.covers_seeds
    assert not one.covers_seeds
    width = several.interval.high - several.interval.low
    assert width > 2 * (one.interval.high - one.interval.low) / 3**0.5
    assert several.rate == pytest.approx(np.mean([win_rate([r]).rate for r in runs]))


def test_intervals_of_the_win_rate_hold():
    """Of 300 simulated comparisons of equal variants, about 5% are called different."""
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(300):
        said = rng.choice(["win", "loss", "tie"], 60, p=[0.4, 0.4, 0.2])
        found = win_rate([[a_win(n, w, w, response_tokens=12) for n, w in enumerate(said)]])
        false += found.p_value < 0.05
        assert (found.p_value < 0.05) == (not found.interval.low <= 50 <= found.interval.high)
    assert 5 <= false <= 28


def simulated(rng, count: int, theta: float, phi: float) -> tuple[list[float], list[int]]:
    """Return outcomes and differences of length of the published model without difficulty."""
    differences = rng.integers(-20, 60, count)
    scaled = np.tanh(differences / differences.std(ddof=1))
    chance = 1 / (1 + np.exp(-(theta + phi * scaled)))
    return (rng.random(count) < chance).astype(float).tolist(), differences.tolist()


@pytest.mark.parametrize("theta", [0.0, 0.7])
def test_a_known_effect_of_length_is_removed(theta):
    """A judge that rewards length prefers the longer variant; at equal lengths it would not."""
    rng = np.random.default_rng(1)
    truth = 100 / (1 + math.exp(-theta))
    raw, found, covered = [], [], 0
    for _ in range(100):
        outcomes, differences = simulated(rng, 300, theta, 1.5)
        rate = length_controlled(outcomes, differences)
        raw.append(100 * np.mean(outcomes))
        found.append(rate.rate)
        error = rate.values.std(ddof=1) / 300**0.5
        covered += abs(rate.rate - truth) < 1.96 * error
    assert np.mean(raw) > truth + 5
    assert np.mean(found) == pytest.approx(truth, abs=1)
    assert covered >= 88


def test_the_fit_maximizes_the_likelihood_of_the_definition():
    """The likelihood is written out here as published, and maximized by another program."""
    outcomes = [1, 0, 1, 0.5, 1, 1, 0, 0.5, 1, 0, 1, 1]
    lengths = [5, -3, 8, 2, -1, 9, -7, 1, 4, 6, -2, 3]
    scale = np.std(lengths, ddof=1)

    def loss(weights):
        total = 0.0
        for won, difference in zip(outcomes, lengths, strict=True):
            chance = 1 / (1 + math.exp(-(weights[0] + weights[1] * math.tanh(difference / scale))))
            total -= won * math.log(chance) + (1 - won) * math.log(1 - chance)
        return total

    theta, phi = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9}).x
    found = length_controlled(outcomes, lengths)
    assert (found.theta, found.phi) == pytest.approx((theta, phi), abs=1e-4)
    assert found.rate == pytest.approx(100 / (1 + math.exp(-theta)), abs=1e-3)
    assert found.values.mean() == pytest.approx(found.rate)


@pytest.mark.parametrize(
    ("outcomes", "differences", "why"),
    [
        ([1, 0] * 4, range(8), "fewer than 10 entries"),
        ([1] * 20, range(20), "the same outcome"),
        ([0] * 10 + [1] * 10, range(20), "separate wins from losses completely"),
        ([0] * 10 + [0.5] + [1] * 10, range(-10, 11), "separate wins from losses completely"),
        ([1, 0] * 10, [7] * 20, "differ by the same everywhere"),
        ([1, 0] * 10, [500, 501] * 10, "differ by the same everywhere"),
    ],
)
def test_what_cannot_be_fitted_has_no_rate(outcomes, differences, why):
    found = length_controlled(outcomes, [*differences])
    assert isinstance(found, str)
    assert why in found


def test_without_a_difference_in_length_nothing_is_controlled():
    outcomes = [1, 0, 0.5, 1, 1, 0, 1, 0, 1, 1, 1]
    found = length_controlled(outcomes, [0] * 11)
    assert found.rate == pytest.approx(100 * np.mean(outcomes))


def test_the_console_says_what_the_table_says():
    row = {
        "model": "m", "recipe": "r", "judge": "j", "baseline": "m/b", "entries": "20",
        "win_rate": "62.5", "win_low": "51.2", "win_high": "73.8", "lc_win_rate": "60.25",
        "disagreements": "3", "unparsed": "1", "failed": "0", "unrated": "0",
    }  # fmt: skip
    baseline = {**row, "recipe": "b", "win_rate": "50.0"}
    assert win_lines([baseline, row], {"j": "a note"}) == [
        "Win rates by j (a note), in percent of entries:",
        "m / r against m/b: 62.50 (51.2 to 73.8), length-controlled 60.25; 3 verdicts changed with "
        "the order; 1 of 20 entries have no verdict",
        "m / b: the baseline",
        "",
    ]
    rated = {**row, "disagreements": "0", "unparsed": "0", "unrated": "15"}
    assert win_lines([rated], {})[1].endswith("60.25; 15 of 20 entries not rated")

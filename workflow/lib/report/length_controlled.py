"""The length-controlled win rate of AlpacaEval 2: the win rate if both responses were as long.

Dubois, Galambosi, Liang and Hashimoto, "Length-Controlled AlpacaEval: A Simple Way to Debias
Automatic Evaluators" (2024), model the probability that a response wins as

    logistic(theta + phi * tanh(d / std(d)) + psi * gamma)

with d the difference of both lengths, theta the difference of both models, and gamma the difficulty
of the instruction; the length-controlled win rate is its mean over the instructions with phi set
to 0. Their gamma is fitted once over all models of a public leaderboard. One comparison of a few
models cannot tell the difficulty of an entry from the luck of its one verdict, so gamma is left out
here, as in the formula that AlpacaEval's own code calls minimal. They choose a penalty of the
coefficients by cross-validation; here there is none, and data without a finite fit get no rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import expit

FEWEST = 10  # entries


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate.

    Args:
        rate: 0 to 100.
        values: (N,), the rate with the influence of each entry, as for the delta method: their mean
            is the rate, and their variance over N that of the rate.
        theta, phi: coefficients of the model.
    """

    rate: float
    values: NDArray[np.float64]
    theta: float
    phi: float


def length_controlled(
    outcomes: Sequence[float], differences: Sequence[int]
) -> LengthControlled | str:
    """Return the length-controlled win rate, or why there is none, as a clause.

    Args:
        outcomes: of each entry, from 0 (a loss) to 1 (a win).
        differences: of each entry, the length of the response minus that of the baseline's.
    """
    won, longer = np.asarray(outcomes, dtype=float), np.asarray(differences, dtype=float)
    if len(won) < FEWEST:
        return f"fewer than {FEWEST} entries have a verdict"
    if not longer.any():
        return LengthControlled(100 * float(won.mean()), 100 * won, float("nan"), 0.0)
    if np.ptp(won) == 0:
        return "every comparison has the same outcome"
    scaled = np.tanh(longer / longer.std(ddof=1)) if np.ptp(longer) else np.ones(len(won))
    if np.ptp(scaled) < 1e-6:
        return "the lengths differ by the same everywhere"
    # An outcome between loss and win is a loss and a win in these shares.
    features = np.concatenate([scaled, scaled])[:, None]
    labels = np.repeat([1, 0], len(won))
    weights = np.concatenate([won, 1 - won])
    there = weights > 0
    if _separable(features[there], labels[there]):
        return "the lengths separate wins from losses completely"
    # Here, because only pairwise judges need it, and it takes a second to import.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(features[there], labels[there], sample_weight=weights[there])
    theta, phi = float(model.intercept_[0]), float(model.coef_[0, 0])
    return _at_equal_length(won, scaled, theta, phi)


def _at_equal_length(
    won: NDArray[np.float64], scaled: NDArray[np.float64], theta: float, phi: float
) -> LengthControlled:
    """Return the win rate without the term of the length, with the influence of each entry."""
    count = len(won)
    columns = np.stack([np.ones(count), scaled], axis=1)
    expected = expit(theta + phi * scaled)
    information = (columns * (expected * (1 - expected))[:, None]).T @ columns
    scores = columns * (won - expected)[:, None]
    share = float(expit(theta))
    slope = np.array([share * (1 - share), 0.0])
    influence = scores @ np.linalg.solve(information, slope)
    return LengthControlled(100 * share, 100 * (share + count * influence), theta, phi)


def _separable(features: NDArray[np.float64], labels: NDArray[np.int64]) -> bool:
    """Tell whether some plane has all wins on one side and all losses on the other.

    The likelihood then grows without end (Albert and Anderson, 1984), and coefficients would be as
    large as the fit has patience for.
    """
    signed = np.column_stack([np.ones(len(features)), features]) * np.where(labels, 1, -1)[:, None]
    found = linprog(
        -signed.sum(0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs"
    )
    return bool(-found.fun > 1e-9)

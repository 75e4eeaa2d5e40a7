"""Simulated scores of two variants that are equally good, for the error rates of a verdict."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workflow.lib.report.replicates import Comparison, compare

COMPARISONS = 200


def numbered(table: NDArray[np.floating]) -> list[dict[int, float]]:
    """Return the runs of an array of shape (runs, entries)."""
    return [dict(enumerate(map(float, row))) for row in table]


def simulate(
    generator: np.random.Generator, runs: int, entries: int = 110, seed_noise: float = 0.3
) -> list[list[dict[int, float]]]:
    """Return two equally good variants: scores 0 or 100 by entry, variant, run and chance."""
    difficulty = generator.normal(0, 1.5, entries)
    return [
        numbered(
            100.0
            * (
                difficulty
                + generator.normal(0, 0.7, entries)
                + generator.normal(0, seed_noise, (runs, 1))
                + generator.normal(0, 0.8, (runs, entries))
                > 0
            )
        )
        for _ in range(2)
    ]


def compared(runs: int) -> Iterator[Comparison]:
    """Yield the comparisons of equally good variants with this many runs each."""
    generator = np.random.default_rng(runs)
    for _ in range(COMPARISONS):
        result = compare(*simulate(generator, runs))
        assert result is not None
        yield result

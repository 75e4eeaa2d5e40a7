"""How long texts are: counts by doubling bins."""

from bisect import bisect_right
from collections.abc import Sequence
from statistics import median
from typing import TypedDict


class Histogram(TypedDict):
    """Lengths of the texts of a data set.

    `starts` are where the bins begin, 0, 1, 2, 4, 8 and on, the last that of the longest text;
    `counts` the texts in each.
    """

    starts: list[int]
    counts: list[int]
    median: float
    longest: int


def histogram(lengths: Sequence[int]) -> Histogram:
    """Count lengths, of which there is at least one."""
    longest = max(lengths)
    starts = [0, *(2**power for power in range(longest.bit_length()))]
    counts = [0] * len(starts)
    for length in lengths:
        counts[bisect_right(starts, length) - 1] += 1
    return {
        "starts": starts, "counts": counts, "median": median(lengths), "longest": longest,
    }  # fmt: skip


def bins(found: Histogram) -> list[tuple[str, int]]:
    """The bins from the first that is not empty, each as its range in words and its count."""
    starts, counts = found["starts"], found["counts"]
    ends = [start - 1 for start in starts[1:]] + [found["longest"]]
    named = [
        (f"{start:,} to {end:,}" if end > start else f"{start:,}", count)
        for start, end, count in zip(starts, ends, counts, strict=True)
    ]
    first = next(place for place, (_, count) in enumerate(named) if count)
    return named[first:]

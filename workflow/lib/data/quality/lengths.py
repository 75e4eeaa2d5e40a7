"""Histograms of text lengths, in bins of doubling width."""

from bisect import bisect_right
from collections.abc import Sequence
from statistics import median
from typing import TypedDict


class Histogram(TypedDict):
    """The distribution of text lengths.

    `starts` holds the first length of every bin: 0, 1, 2, 4, 8, ..., up to the bin of the longest
    text; `counts` the number of texts in each bin.
    """

    starts: list[int]
    counts: list[int]
    median: float
    longest: int


def histogram(lengths: Sequence[int]) -> Histogram:
    """Count lengths; there must be at least one."""
    longest = max(lengths)
    starts = [0, *(2**power for power in range(longest.bit_length()))]
    counts = [0] * len(starts)
    for length in lengths:
        counts[bisect_right(starts, length) - 1] += 1
    return {
        "starts": starts, "counts": counts, "median": median(lengths), "longest": longest,
    }  # fmt: skip


def bins(found: Histogram) -> list[tuple[str, int]]:
    """Return range (in words) and count of every bin, from the first that is not empty."""
    starts, counts = found["starts"], found["counts"]
    ends = [start - 1 for start in starts[1:]] + [found["longest"]]
    named = [
        (f"{start:,} to {end:,}" if end > start else f"{start:,}", count)
        for start, end, count in zip(starts, ends, counts, strict=True)
    ]
    first = next(place for place, (_, count) in enumerate(named) if count)
    return named[first:]

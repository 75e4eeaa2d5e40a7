"""Plots of scores: means with intervals, histograms, and scores over lengths."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from workflow.lib.report.format import points
from workflow.lib.report.plots.svg import SMALL, Frame, axes, nice_ticks, svg, text, whole_ticks
from workflow.lib.report.statistics import Interval

SCORE_BINS = 10  # 0 to 9, 10 to 19, ..., 90 to 100


def draw_mean(
    value: float | None, interval: Interval | None, low: float, high: float, hollow: bool = False
) -> Markup:
    """Draw a mean as a dot and its interval as a line.

    Args:
        value: None draws the empty scale.
        interval: None draws the dot alone.
        low, high: ends of the scale.
        hollow: True for a model before finetuning.
    """
    width, middle = 220, 11

    def x(number: float) -> float:
        return 8 + (number - low) / (high - low) * (width - 16)

    grid = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="2" y2="20"/>'
        for tick in (low, (low + high) / 2, high)
    ]
    grid.append(f'<line class="axis" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="11" y2="11"/>')
    parts = [axes(grid)]
    title = "no score"
    if value is not None:
        title = points(value)
        if interval:
            title += f", 95% interval {points(interval.low)} to {points(interval.high)}"
            parts.append(
                f'<line class="whisker" x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}" '
                f'y1="{middle}" y2="{middle}"/>'
            )
        shape = "dot hollow" if hollow else "dot"
        parts.append(f'<circle class="{shape}" cx="{x(value):.1f}" cy="{middle}" r="5"/>')
    return svg("whiskers", width, 22, title, parts)


def draw_scale(low: float, high: float) -> Markup:
    """Draw the numbers of a scale, to stand above a column of `draw_mean`."""
    places = ((8, low, "start"), (110, (low + high) / 2, "middle"), (212, high, "end"))
    parts = [text(x, 10, points(value, 0), anchor) for x, value, anchor in places]
    return svg("whiskers", 220, 14, "scale", parts)


def draw_histogram(scores: Sequence[float], highest: int) -> Markup:
    """Draw a histogram of scores.

    Args:
        scores: 0 to 100.
        highest: end of the count axis, the same for all variants.
    """
    frame = Frame(SMALL, (0, 100), (0, highest))
    parts = [
        *frame.y_axis(whole_ticks(highest), "answers"),
        *frame.x_axis((0, 50, 100), "score"),
    ]
    width = 100 // SCORE_BINS
    for number, count in enumerate(bin_counts(scores)):
        start, end = number * width, (number + 1) * width
        last = 100 if end == 100 else end - 1
        if count:
            parts.append(frame.bar(start, end, count, f"{start} to {last}: {count} answers"))
    return frame.chart(f"Scores of {len(scores)} answers", parts)


def bin_counts(scores: Sequence[float]) -> list[int]:
    """Count the scores in each tenth of the scale; 100 belongs to the last."""
    return np.histogram(scores, bins=SCORE_BINS, range=(0, 100))[0].tolist()


def draw_scatter(lengths: Sequence[float], scores: Sequence[float], longest: float) -> Markup:
    """Draw the score of each response over its length.

    Args:
        lengths, scores: of the same responses.
        longest: end of the length axis, the same for all variants.
    """
    frame = Frame(SMALL, (0, max(longest, 1)), (0, 100))
    ticks = nice_ticks(max(longest, 1), 4)
    parts = [*frame.y_axis((0, 50, 100), "score"), *frame.x_axis(ticks, "length")]
    # Responses on the same spot are one darker dot: thousands of them stay a small picture.
    places = zip(map(frame.x, lengths), map(frame.y, scores), strict=True)
    dots: dict[float, list[str]] = defaultdict(list)
    for (x, y), count in Counter((round(x), round(y)) for x, y in places).items():
        dots[min(0.9, 0.2 + 0.15 * count)].append(f'<circle cx="{x}" cy="{y}" r="3"/>')
    for opacity, circles in dots.items():
        parts.append(f'<g class="point" fill-opacity="{opacity:.2f}">{"".join(circles)}</g>')
    return frame.chart(f"Length and score of {len(scores)} answers", parts)

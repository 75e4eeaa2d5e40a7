"""Plots of the lengths of a data set's entries."""

from markupsafe import Markup

from workflow.lib.data.quality.lengths import Histogram, bins
from workflow.lib.report.format import thousands
from workflow.lib.report.plots.svg import SMALL, Frame, text, whole_ticks


def draw_lengths(histogram: Histogram) -> Markup:
    """Draw a histogram of lengths, in bins of doubling width."""
    counted = bins(histogram)
    highest = max(count for _, count in counted)
    frame = Frame(SMALL, (0, len(counted)), (0, highest))
    parts = [*frame.y_axis(whole_ticks(highest), "entries"), *frame.x_axis((), "length")]
    for number, (words, count) in enumerate(counted):
        parts.append(frame.bar(number, number + 1, count, f"{words}: {count} entries"))
        start = float(words.split()[0].replace(",", ""))
        parts.append(text(frame.x(number + 0.5), frame.bottom + 14, thousands(start), "middle"))
    return frame.chart(f"Lengths of {sum(count for _, count in counted)} entries", parts)

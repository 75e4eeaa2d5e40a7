"""The validation losses of all variants in one plot, on a logarithmic scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from workflow.lib.report.format import points
from workflow.lib.report.plots.svg import LARGE, Frame, nice_ticks, text

COLORS = 8  # curves with a color and a label, those of the lowest losses; the others are gray
_ROOM = 44  # for the labels at the right
_GAP = 12  # between labels


@dataclass(frozen=True)
class ValidationCurve:
    """The validation loss of a variant over its epochs.

    Args:
        name: of the variant, on the page.
        whole: its full name.
        epochs: of each evaluation, as in figure 7.17.
        losses: at each evaluation; of several seeds the mean.
        band: lowest and highest loss of the seeds at each evaluation; none of a single seed.
    """

    name: str
    whole: str
    epochs: Sequence[float]
    losses: Sequence[float]
    band: Sequence[tuple[float, float]]


def draw_validation(curves: Sequence[ValidationCurve]) -> Markup:
    """Draw the curves of all variants.

    Args:
        curves: at least one, those that end lowest first. The first have the last value as a
            label, and the classes c0, c1, ..., as in a legend.
    """
    values = [v for c in curves for v in (*c.losses, *(end for pair in c.band for end in pair))]
    least = min((value for value in values if value > 0), default=1.0)  # 0 has no logarithm
    low, high = least / 1.05, max(*values, least) * 1.05
    last = max(curve.epochs[-1] for curve in curves) or 1
    frame = Frame(LARGE, (0, last), (math.log(low), math.log(high)), _ROOM)

    def place(epoch: float, loss: float) -> tuple[float, float]:
        return frame.x(epoch), frame.y(math.log(max(loss, low)))

    parts = [*frame.log_axis(log_ticks(low, high), "validation loss, logarithmic scale")]
    whole = last <= 10 and last == int(last)
    parts += frame.x_axis(range(int(last) + 1) if whole else nice_ticks(last, 5), "epochs")
    for number, curve in reversed([*enumerate(curves)]):  # the lowest on top
        color = f"c{number}" if number < COLORS else "other"
        drawn = [place(epoch, loss) for epoch, loss in zip(curve.epochs, curve.losses, strict=True)]
        title = f"<title>{escape(f'{curve.name}: {points(curve.losses[-1], 3)}')}</title>"
        if curve.band:
            lows, highs = zip(*curve.band, strict=True)
            edge = [
                *map(place, curve.epochs, highs),
                *reversed([*map(place, curve.epochs, lows)]),
            ]
            parts.append(f'<polygon class="band {color}" points="{_path(edge)}"/>')
        parts.append(f'<polyline class="curve {color}" points="{_path(drawn)}">{title}</polyline>')
        if len(drawn) == 1:
            (x, y), *_ = drawn
            parts.append(f'<circle class="{color}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    ends = [place(curve.epochs[-1], curve.losses[-1]) for curve in curves[:COLORS]]
    heights = spread([y for _, y in ends], _GAP, frame.bottom)
    for number, ((x, y), height) in enumerate(zip(ends, heights, strict=True)):
        right = frame.right + 8
        parts.append(
            f'<line class="leader c{number}" x1="{x:.1f}" y1="{y:.1f}" x2="{right}" '
            f'y2="{height:.1f}"/>'
        )
        label = points(curves[number].losses[-1], 3)
        parts.append(text(right + 2, height + 4, label, "start"))
    best = curves[0]
    return frame.chart(
        f"Validation losses of {len(curves)} variants; the lowest at the end is that of "
        f"{best.name}, {points(best.losses[-1], 3)}",
        parts,
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers on a logarithmic axis, two or more of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [step * 10.0**decade for decade in decades for step in steps]
        if len(ticks := [tick for tick in found if low <= tick <= high]) > 2:
            return ticks
    step = nice_ticks(high - low, 6)[1]
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def spread(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Move places apart, each as little as may be, so that none are closer than a gap.

    Args:
        places: in any order, none beyond the end.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = [*places]
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    limit = end
    for number in reversed(order):
        moved[number] = limit = min(moved[number], limit)
        limit -= gap
    return moved


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)

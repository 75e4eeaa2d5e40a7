"""Inline SVG for the page: axes and marks, styled by the page in light, dark and print."""

import math
import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from workflow.lib.report.format import thousands

SMALL, LARGE = (300, 180), (440, 250)  # width and height of a chart
TOP = 30  # space above the axes, for labels
_LEFT, _RIGHT, _BOTTOM = 34, 14, 34


class Frame:
    """The two axes of a chart; `x` and `y` turn data into coordinates."""

    def __init__(
        self,
        size: tuple[int, int],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        room: int = _RIGHT,
    ) -> None:
        """Lay out the axes.

        Args:
            room: space at the right of them.
        """
        self.width, self.height = size
        self.x_range, self.y_range = x_range, y_range
        self.bottom, self.right = self.height - _BOTTOM, self.width - room

    def x(self, value: float) -> float:
        """Return the horizontal coordinate of a value."""
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (self.right - _LEFT)

    def y(self, value: float) -> float:
        """Return the vertical coordinate of a value."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - TOP)

    def x_axis(self, ticks: Sequence[float], label: str) -> list[str]:
        """Draw the axis below with its ticks and label."""
        ends = f'x1="{_LEFT}" x2="{self.right}" y1="{self.bottom}" y2="{self.bottom}"'
        marks = [text(self.x(t), self.bottom + 14, thousands(t), "middle") for t in ticks]
        below = text((_LEFT + self.right) / 2, self.height - 4, label, "middle")
        return [axes([f'<line class="axis" {ends}/>', *marks, below])]

    def y_axis(self, ticks: Sequence[float], label: str) -> list[str]:
        """Draw a grid line and a number for each tick, and the label above."""
        return self._y_axis({tick: self.y(tick) for tick in ticks}, label)

    def log_axis(self, ticks: Sequence[float], label: str) -> list[str]:
        """Draw the same for a logarithmic axis, whose `y_range` holds natural logarithms."""
        return self._y_axis({tick: self.y(math.log(tick)) for tick in ticks}, label)

    def _y_axis(self, places: Mapping[float, float], label: str) -> list[str]:
        parts = []
        for tick, y in places.items():
            ends = f'x1="{_LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="grid" {ends}/>')
            parts.append(text(_LEFT - 5, y + 4, thousands(tick), "end"))
        return [axes([*parts, text(0, 10, label, "start")])]

    def bar(self, start: float, end: float, count: int, title: str) -> str:
        """Draw the bar of a histogram from `start` to `end` of the axis below."""
        left, right = self.x(start) + 1, self.x(end) - 1
        return (
            f'<rect class="bar" x="{left:.1f}" width="{right - left:.1f}" y="{self.y(count):.1f}" '
            f'height="{self.y(0) - self.y(count):.1f}"><title>{escape(title)}</title></rect>'
        )

    def chart(self, title: str, parts: Sequence[str]) -> Markup:
        """Return the finished chart."""
        return svg("chart", self.width, self.height, title, parts)


def svg(kind: str, width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    """Put parts into an SVG element.

    Args:
        kind: class for the style sheet.
        title: what a screen reader says.
        parts: markup, in the order of drawing.
    """
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def axes(parts: Sequence[str]) -> str:
    """Group what other charts may have, too, so that `draw_once` finds it."""
    return f'<g class="axes">{"".join(parts)}</g>'


def draw_once(page: str) -> str:
    """Return a page in which equal axes of several charts are drawn in the first of them.

    The others refer to it, which a browser draws alike.
    """
    known: dict[str, str] = {}

    def drawn(found: re.Match[str]) -> str:
        if found[0] in known:
            return f'<use href="#{known[found[0]]}"/>'
        known[found[0]] = f"axes-{len(known)}"
        return f'<g class="axes" id="{known[found[0]]}">{found[1]}</g>'

    return re.sub(r'<g class="axes">(.*?)</g>', drawn, page)


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Draw text; `anchor` is SVG's: start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def nice_ticks(highest: float, about: int) -> list[float]:
    """Return round numbers from 0 to the end of an axis, roughly `about` of them."""
    if highest <= 0:
        return [0]
    exponent = int(f"{highest / about:e}".split("e")[1])
    step = next(s * 10.0**exponent for s in (1, 2, 5, 10) if s * 10.0**exponent >= highest / about)
    return [step * n for n in range(int(highest / step + 1e-9) + 1)]


def whole_ticks(highest: int) -> list[float]:
    """Return the ticks of an axis of counts."""
    return [tick for tick in nice_ticks(highest, 3) if tick == int(tick)]

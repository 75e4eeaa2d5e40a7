"""Small pictures for the page as inline SVG: they take its colours, in light, dark and print."""

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from workflow.lib.report.format import points, thousands
from workflow.lib.report.statistics import Interval

SCORE_BINS = 10  # 0 to 9, 10 to 19, ..., 90 to 100
_SMALL, _LARGE = (300, 180), (440, 250)  # width and height of the charts with two axes
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 14, 30, 34  # room for labels around their plots


def dot_whisker(
    value: float | None, interval: Interval | None, low: float, high: float, hollow: bool = False
) -> Markup:
    """A value as a dot and its interval as a line on a scale.

    Args:
        value: None draws the empty scale.
        interval: None where there is none.
        low, high: ends of the scale.
        hollow: for what was measured before finetuning.
    """
    width, middle = 220, 11

    def x(number: float) -> float:
        return 8 + (number - low) / (high - low) * (width - 16)

    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="2" y2="20"/>'
        for tick in (low, (low + high) / 2, high)
    ]
    parts.append(f'<line class="axis" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="11" y2="11"/>')
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
    return _svg("whiskers", width, 22, title, parts)


def scale(low: float, high: float) -> Markup:
    """The numbers of a scale, to stand above a column of dots and whiskers."""
    places = ((8, low, "start"), (110, (low + high) / 2, "middle"), (212, high, "end"))
    parts = [_text(x, 10, points(value, 0), anchor) for x, value, anchor in places]
    return _svg("whiskers", 220, 14, "scale", parts)


def loss_curves(rows: Sequence[Mapping[str, float]], epochs: int, highest: float) -> Markup:
    """Figure 7.17: training loss solid, validation dashed, epochs below, tokens seen above.

    Args:
        rows: of losses.csv, at least one.
        epochs: spread evenly over the rows, as in the chapter.
        highest: end of the loss axis, the same for all variants.
    """
    frame = _Frame(_LARGE, (0, epochs), (0, highest))
    parts = [
        *frame.y_axis(nice_ticks(highest, 4), "loss"),
        *frame.x_axis(range(epochs + 1) if epochs <= 10 else nice_ticks(epochs, 5), "epochs"),
    ]
    first, last = rows[0]["tokens_seen"] if len(rows) > 1 else 0, rows[-1]["tokens_seen"]
    ticks = [t for t in nice_ticks(last, 4) if first <= t <= last]
    for tick in ticks:
        place = frame.x((tick - first) / max(last - first, 1) * epochs)
        parts.append(_text(place, _TOP - 6, thousands(tick), "middle"))
    parts.append(_text(frame.right, 10, "tokens seen", "end"))
    where = [epochs * n / max(len(rows) - 1, 1) for n in range(len(rows))]
    for column, name in (("train_loss", "train"), ("val_loss", "val")):
        values = [row[column] for row in rows]
        path = " ".join(
            f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(where, values, strict=True)
        )
        parts.append(f'<polyline class="curve {name}" points="{path}"/>')
        if len(rows) == 1:
            x, y = frame.x(0), frame.y(values[0])
            parts.append(f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    final = rows[-1]
    title = (
        f"Loss over {epochs} epochs; at the end training {final['train_loss']:.3f}, "
        f"validation {final['val_loss']:.3f}"
    )
    return frame.chart(title, parts)


def histogram(scores: Sequence[float], highest: int) -> Markup:
    """How many answers got which score.

    Args:
        scores: 0 to 100.
        highest: end of the count axis, the same for all variants.
    """
    counts = bin_counts(scores)
    frame = _Frame(_SMALL, (0, 100), (0, highest))
    whole = [tick for tick in nice_ticks(highest, 3) if tick == int(tick)]
    parts = [*frame.y_axis(whole, "answers"), *frame.x_axis((0, 50, 100), "score")]
    for number, count in enumerate(counts):
        left, right = frame.x(number * 10) + 1, frame.x(number * 10 + 10) - 1
        last = 100 if number == SCORE_BINS - 1 else number * 10 + 9
        parts.append(
            f'<rect class="bar" x="{left:.1f}" width="{right - left:.1f}" y="{frame.y(count):.1f}" '
            f'height="{frame.y(0) - frame.y(count):.1f}">'
            f"<title>{number * 10} to {last}: {count} answers</title></rect>"
        )
    return frame.chart(f"Scores of {len(scores)} answers", parts)


def bin_counts(scores: Sequence[float]) -> list[int]:
    """How many scores lie in each tenth of the scale; 100 belongs to the last."""
    counts = [0] * SCORE_BINS
    for score in scores:
        counts[min(int(score / 100 * SCORE_BINS), SCORE_BINS - 1)] += 1
    return counts


def lengths(bins: Sequence[tuple[str, int]]) -> Markup:
    """How many entries are how long.

    Args:
        bins: each range in words and its count, one after the other.
    """
    highest = max(count for _, count in bins)
    frame = _Frame(_SMALL, (0, len(bins)), (0, highest))
    parts = [
        *frame.y_axis([tick for tick in nice_ticks(highest, 3) if tick == int(tick)], "entries"),
        *frame.x_axis((), "length"),
    ]
    for number, (words, count) in enumerate(bins):
        left, right = frame.x(number) + 1, frame.x(number + 1) - 1
        parts.append(
            f'<rect class="bar" x="{left:.1f}" width="{right - left:.1f}" y="{frame.y(count):.1f}" '
            f'height="{frame.y(0) - frame.y(count):.1f}">'
            f"<title>{escape(words)}: {count} entries</title></rect>"
        )
        start = float(words.split()[0].replace(",", ""))
        parts.append(_text((left + right) / 2, frame.bottom + 14, thousands(start), "middle"))
    return frame.chart(f"Lengths of {sum(count for _, count in bins)} entries", parts)


def scatter(lengths: Sequence[float], scores: Sequence[float], longest: float) -> Markup:
    """Score of each answer over its length.

    Args:
        lengths, scores: of the same answers.
        longest: end of the length axis, the same for all variants.
    """
    frame = _Frame(_SMALL, (0, max(longest, 1)), (0, 100))
    ticks = nice_ticks(max(longest, 1), 4)
    parts = [*frame.y_axis((0, 50, 100), "score"), *frame.x_axis(ticks, "length")]
    # Answers on the same spot are one darker dot, so that thousands of them stay a small picture.
    places = zip(map(frame.x, lengths), map(frame.y, scores), strict=True)
    for (x, y), count in Counter((round(x), round(y)) for x, y in places).items():
        opacity = min(0.9, 0.2 + 0.15 * count)
        parts.append(
            f'<circle class="point" cx="{x}" cy="{y}" r="3" fill-opacity="{opacity:.2f}"/>'
        )
    return frame.chart(f"Length and score of {len(scores)} answers", parts)


def nice_ticks(highest: float, about: int) -> list[float]:
    """Round numbers from 0 up to the end of an axis, roughly as many as asked for."""
    if highest <= 0:
        return [0]
    exponent = int(f"{highest / about:e}".split("e")[1])
    step = next(s * 10.0**exponent for s in (1, 2, 5, 10) if s * 10.0**exponent >= highest / about)
    return [step * n for n in range(int(highest / step + 1e-9) + 1)]


class _Frame:
    """Where numbers of two axes lie on a chart."""

    def __init__(
        self,
        size: tuple[int, int],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        self.width, self.height = size
        self.x_range, self.y_range = x_range, y_range
        self.bottom, self.right = self.height - _BOTTOM, self.width - _RIGHT

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (self.right - _LEFT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - _TOP)

    def x_axis(self, ticks: Sequence[float], label: str) -> list[str]:
        ends = f'x1="{_LEFT}" x2="{self.right}" y1="{self.bottom}" y2="{self.bottom}"'
        marks = [_text(self.x(t), self.bottom + 14, thousands(t), "middle") for t in ticks]
        label_at = (_LEFT + self.right) / 2
        below = _text(label_at, self.height - 4, label, "middle")
        return [f'<line class="axis" {ends}/>', *marks, below]

    def y_axis(self, ticks: Sequence[float], label: str) -> list[str]:
        parts = []
        for tick in ticks:
            y = f"{self.y(tick):.1f}"
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.right}" y1="{y}" y2="{y}"/>')
            parts.append(_text(_LEFT - 5, self.y(tick) + 4, thousands(tick), "end"))
        return [*parts, _text(0, 10, label, "start")]

    def chart(self, title: str, parts: Sequence[str]) -> Markup:
        return _svg("chart", self.width, self.height, title, parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(kind: str, width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )

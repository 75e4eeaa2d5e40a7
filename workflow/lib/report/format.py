"""Numbers, names and lists as text for readers."""

import re
from collections.abc import Sequence


def points(value: float | None, digits: int = 1) -> str:
    """Return a score or difference with a real minus sign; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def percent(share: float | None) -> str:
    """Return a share in whole percent; a dash for None."""
    return "–" if share is None else f"{share:.0%}"


def thousands(number: float) -> str:
    """Return a short number for an axis: 2, 0.5, 20k, 1.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:.3g}"


def duration(seconds: float | None) -> str:
    """Return seconds as "8.0 s", "1 min 15 s" or "1 h 2 min"; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(names: Sequence[str]) -> str:
    """Join names as in "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def chance(p_value: float) -> str:
    """Return a p-value as a frequency: "in about 1 of 50 such tests"."""
    if p_value < 0.001:
        return "in fewer than 1 of 1,000 such tests"
    if p_value < 0.1:
        return f"in about 1 of {round(1 / p_value):,} such tests"
    return f"in about {round(p_value * 100)} of 100 such tests"


def strength(correlation: float) -> str:
    """Return the size of a correlation as an adverb."""
    for limit, word in ((0.9, "very strongly"), (0.7, "strongly"), (0.4, "moderately")):
        if abs(correlation) >= limit:
            return word
    return "weakly" if abs(correlation) >= 0.2 else "hardly"


def common_start(names: Sequence[str]) -> str:
    """Return the parts that all names begin with, such as "nano-1M / rates,", to leave them out.

    Parts end in a slash or a comma; at least one part of each name is not among them.
    """
    parts = [re.findall(r".+?(?: / |,|$)", name) for name in dict.fromkeys(names)]
    if len(parts) < 2:
        return ""
    start = ""
    for same in zip(*(each[:-1] for each in parts), strict=False):
        if len(set(same)) > 1:
            break
        start += same[0]
    return start

"""Reads the score out of what a judge wrote: never guessed, never clamped, never made 0."""

import json
import re
from typing import Any

# A number, with or without its scale: 85, 85/100, 85 out of 100, 85점.
_NUMBER = r"(?P<number>[-−]?\d+(?:\.\d+)?)\s*점?"
_OUT_OF = r"(?:\s*(?:/|out of)\s*(?P<out_of>\d+(?:\.\d+)?))"
# The number must end here: 1,000 and 80-90 are no scores.
_END = r"(?![\d%]|[.,/]\d|\s*[-–]\s*\d)"
_MARKUP = r"[*_`\"'\s]*"
_LABELED = re.compile(
    rf"(?<![^\W_])(?:score\b|rating\b|점수|평점){_MARKUP}(?:\([^()]*\){_MARKUP})?"
    rf"(?:(?::|=|\bis\b|\bof\b|는|은){_MARKUP})+{_NUMBER}{_OUT_OF}?{_END}",
    re.IGNORECASE,
)
_FRACTION = re.compile(rf"(?<![\d.,/-]){_NUMBER}{_OUT_OF}{_END}", re.IGNORECASE)
_KOREAN_FRACTION = re.compile(rf"(?<!\d)(?P<out_of>\d+)점\s*만점에\s*{_NUMBER}{_END}")
_WHOLE = re.compile(rf"{_MARKUP}(?P<number>[-+]?\d+)\s*점?\.?{_MARKUP}")
# No pattern asks for a space, or for how many. Without runs of them every pattern takes time in
# proportion to the reply: two parts that both match spaces would try each way to share them.
_SPACES = re.compile(r"\s{2,}")


def read_score(reply: str, worst: int = 0, best: int = 100) -> float | None:
    """Return the score in a judge's reply, in the chapter's points (section 7.8).

    Read in this order, the first form that occurs decides: a JSON object with a number as `score`;
    nothing but a whole number (listing 7.11); the last labeled number ("Score: 85"); a number out
    of the best one ("85/100", "85 out of 100"), if all such numbers agree.

    Args:
        reply: text of the judge, unchanged.
        worst, best: the ends of the scale that the prompt asks for; mapped to 0 and 100.

    Returns:
        0 to 100; None if there is no score or one outside the scale.
    """
    points = _stated(_without_thoughts(reply).strip(), best)
    if points is None or not worst <= points <= best:
        return None
    return (points - worst) * 100 / (best - worst)


def _without_thoughts(reply: str) -> str:
    """Return a reply without a model's thoughts, which some servers leave in front of it."""
    before, opened, rest = reply.partition("<think>")
    _, closed, after = rest.partition("</think>")
    return before.rstrip() + after if opened and closed else reply


def _stated(reply: str, best: int) -> float | None:
    """Return the number that the reply gives as its score, on the scale or not."""
    fenced = len(reply) >= 6 and reply.startswith("```") and reply.endswith("```")
    stated = _json_object(reply[3:-3].removeprefix("json").strip() if fenced else reply)
    if stated is not None:
        return _json_score(stated)
    reply = _SPACES.sub(" ", reply)
    if whole := _WHOLE.fullmatch(reply):
        return _value(whole)
    if labeled := list(_LABELED.finditer(reply)):
        return _value(labeled[-1]) if _is_out_of(labeled[-1], best) else None
    fractions = [*_FRACTION.finditer(reply), *_KOREAN_FRACTION.finditer(reply)]
    values = {_value(fraction) for fraction in fractions if _is_out_of(fraction, best)}
    return values.pop() if len(values) == 1 else None


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the text as a JSON object, if all of it is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json_score(stated: dict[str, Any]) -> float | None:
    """Return the `score` of a JSON reply: a number, or a whole number as text."""
    score = stated.get("score")
    if isinstance(score, str) and (whole := _WHOLE.fullmatch(_SPACES.sub(" ", score))):
        return _value(whole)
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score) if abs(score) < 1e6 else None  # also refuses NaN and infinity


def _value(match: re.Match[str]) -> float:
    return float(match["number"].replace("−", "-"))


def _is_out_of(match: re.Match[str], best: int) -> bool:
    """Return whether the number is on the prompt's scale: 85/100, or 85 alone."""
    return match["out_of"] is None or float(match["out_of"]) == best

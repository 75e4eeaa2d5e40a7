"""The score in JSON that a reply is or holds."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from workflow.lib.judge.reading import words
from workflow.lib.judge.reading.statements import Statement, number_alone

MOST_OBJECTS = 20  # looked for in one reply; each may take the time of reading all of it
_LABEL = re.compile(rf"(?:the |my |model |your )?(?:{words.LABEL}|score value)")
_INSIDE = {"value", "number", "score", "rating"}
_FINAL = re.compile(rf"(?:{words.FINAL_LABEL})(?:.{{0,20}})?")
_ANY_LABEL = re.compile(words.LABEL)
_ASPECT = re.compile(words.ASPECT)
_OPENING = re.compile(r"\{(?=\s*+[\"}])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATOR = re.compile(r"[\W\d_]+")
_BEST = re.compile(words.alone("max|maximum|out of|scale|best|possible|min|minimum"))


class _Number(str):
    """A number as it is written."""


class _Object(list[tuple[str, Any]]):
    """The keys and values of an object, keys that occur twice among them."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=_Number,
    parse_float=_Number,
    parse_constant=str,
)


def split_json(answer: str) -> tuple[list[Any], str]:
    """Return the JSON objects in a text, and the text without them."""
    objects, outside, place = [], "", 0
    for _ in range(MOST_OBJECTS):
        if not (brace := _OPENING.search(answer, place)):
            break
        try:
            found, end = _DECODER.raw_decode(answer, brace.start())
        except (ValueError, RecursionError):
            outside += answer[place : brace.end()]
            place = brace.end()
            continue
        objects.append(found)
        outside += answer[place : brace.start()]
        place = end
    return objects, outside + answer[place:]


def json_statements(found: Any, worst: int, best: int) -> list[Statement]:
    """Return the scores that a JSON value states: those of its outermost keys that name a score.

    Args:
        found: from `split_json`.
        worst, best: ends of the scale that the judge was asked for.
    """
    stated = list(_walk(found, 0, worst, best))
    finals = [s for _, s in stated if s.final]
    if finals:
        return finals
    whole = [(depth, s) for depth, s in stated if not s.part]
    outermost = min((depth for depth, _ in whole), default=0)
    return [s for depth, s in whole if depth == outermost] or [s for _, s in stated]


def _walk(value: Any, depth: int, worst: int, best: int) -> Iterator[tuple[int, Statement]]:
    if not isinstance(value, _Object):
        for item in value if isinstance(value, list) else ():
            yield from _walk(item, depth + 1, worst, best)
        return
    for key, inner in value:
        name = _SEPARATOR.sub(" ", _CAMEL.sub(" ", key)).strip().lower()
        if _BEST.search(name):
            if isinstance(inner, _Number) and inner not in (str(worst), str(best)):
                yield depth, Statement(None, other_scale=True)
            continue
        final = bool(_FINAL.fullmatch(name))
        whole = final or bool(_LABEL.fullmatch(name))
        part = not whole and bool(_ANY_LABEL.search(name) or _ASPECT.search(name))
        if isinstance(inner, _Object) and whole:
            inner = next((v for k, v in inner if k.lower() in _INSIDE), inner)
        if isinstance(inner, _Object) or (isinstance(inner, list) and not whole):
            yield from _walk(inner, depth + 1, worst, best)
        elif (whole or part) and not (part and not isinstance(inner, _Number)):
            number = number_alone(inner, worst, best) if isinstance(inner, str) else None
            number = number or Statement(None)
            yield depth, replace(number, final=final, total="total" in name, part=part)

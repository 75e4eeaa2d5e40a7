"""The scores that a text states, each with how it is stated.

Every number of the text is looked at once, with the words of its own statement around it. Windows
are bounded, so the time is in proportion to the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workflow.lib.judge.reading import scale, words
from workflow.lib.judge.reading.plain import plain_text
from workflow.lib.judge.reading.scale import ASKED_SCALE, OF_ASKED, OF_OTHER, OTHER_SCALE, RANGE

MOST_NUMBERS = 1000  # a text with more of them states no single score
_BEFORE, _AFTER = 200, 60  # characters
_NUMBER = re.compile(rf"{words.NUMBER}|{RANGE}")
_VALUE = re.compile(r"\d{1,6}(?:\.\d{1,6})?")
_MARKUP = rf"[\s\"'“”‘’«»()\[\]{{}}|*#>`{ASKED_SCALE}]*"
_LABEL = re.compile(words.LABEL)
_VERB = re.compile(words.VERB)
_CLOSE = re.compile(
    rf"(?P<final>{words.FINAL_LABEL})|(?P<aspect>{words.ASPECT})|(?P<label>{words.CLOSE_LABEL})"
)
_CLOSE_GAP = re.compile(
    rf"(?:{_MARKUP}(?:[:=–→-]|->|is|of|at|는|은|는|ist|est|es|是|为|は)?){{1,3}}{_MARKUP}"
)
_GAP = re.compile(rf"[^\d{OF_OTHER}{RANGE}]{{0,120}}")
_GAP_END = re.compile(rf"{words.BEFORE_NUMBER}{_MARKUP},?\s?$")
_EQUATION = re.compile(rf"[\s\d.:+*×/÷x()=%{OF_OTHER}{OF_ASKED}–-]*=\s?$")
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n|。")
_OPERAND = re.compile(r"\s?\)?\s?[*×÷+=/^]")
_AFTER_OPERATOR = re.compile(r"[*×÷+/^√]\s?\(?\s?$|\\\w{1,10}\{?$")
_LIST_MARK = re.compile(r"[.)]\s\S")
_UNIT = re.compile(rf"(?: ?(?P<unit>{words.UNIT}))?(?P<of>[{OF_ASKED}{OF_OTHER}])?")
_ENDS = re.compile(
    rf"\s?(?:$|[\n.,;:!)\]}}\"'“”’»|<…–—、。」』}}{ASKED_SCALE}]|\(|-\s|{words.GOES_ON}|{words.PARTICLE})"
)
_STOPS = re.compile(rf"\s?(?:$|[\n.,;!)\]}}\"'“”’»|<–—、。」』{ASKED_SCALE}]|\()")
_NUMBERS_FOLLOW = re.compile(r"\s?,\s?\d|\+|\?|-[a-z0-9]|:\d")
_NEAR_SCALE = re.compile(rf"{ASKED_SCALE}[\s):,=]*$")
_FOR_ASPECT = re.compile(rf"\s?(?:for|on|in)(?: its| the)? (?:{words.ASPECT}|{words.OTHER_PART})")
_ALONE = re.compile(
    rf"[\s\"'“”‘’«»(\[{{|*#>`:=<]*(?P<number>{words.NUMBER}|{RANGE})(?P<unit>\s?{words.UNIT})?"
    rf"(?P<of>[{OF_ASKED}{OF_OTHER}])?(?:\s?\(?{ASKED_SCALE}\)?)?[\s\"'“”‘’«»)\]}}|*`.!>,]*"
    r"(?:\([^()\d]{1,80}\)[\s.!]*)?"
)
_LONE = re.compile(rf"[^\d\n]{{0,80}}{words.LONE_LABEL}\s?[:=]\s?")
_OF_SOMETHING_ELSE = re.compile(words.OF_SOMETHING_ELSE)
_CORRECTION = re.compile(words.CORRECTION)
_NOT_GIVEN = re.compile(words.NOT_GIVEN)
_BOUND = re.compile(words.BOUND)
_PERFECT = re.compile(words.PERFECT)
_HYPOTHETICAL = re.compile(words.HYPOTHETICAL)
_TURN = re.compile(words.TURN)
_TAKEN_BACK = re.compile(words.TAKEN_BACK)
_FINAL = re.compile(words.FINAL)
_TOTAL = re.compile(words.alone("total") + "|총점|总分|總分|合計")
_ASPECT = re.compile(words.ASPECT)


@dataclass(frozen=True)
class Statement:
    """A score as it is stated.

    Args:
        value: a number of the scale; None if what is stated as the score is not one: a range, a
            fraction, 850.
        final: it is called final, overall or total.
        total: it is called total, as the best one may be as well.
        part: it is the score of one aspect, or corrects another: no score by itself.
        explicit: its scale is given: 85/100, 85%.
        other_scale: its scale is given and another one: 8/10.
        perfect: it is called a perfect score, which may only be spoken of.
    """

    value: float | None
    final: bool = False
    total: bool = False
    part: bool = False
    explicit: bool = False
    other_scale: bool = False
    perfect: bool = False


def statements(text: str, worst: int, best: int) -> list[Statement]:
    """Return all scores that a text states; none if it is a list of numbers.

    Args:
        text: from `plain_text`.
        worst, best: ends of the scale that the judge was asked for.
    """
    text = scale.mark_scales(text, worst, best)
    numbers = list(_NUMBER.finditer(text))
    if not numbers or len(numbers) > MOST_NUMBERS:
        return []
    reader = _Reader(text, worst, best)
    other = [Statement(None, other_scale=True)] * (OTHER_SCALE in text)
    found = [stated for number in numbers if (stated := reader.read(number))]
    return [*found, *reader.alone(), *other]


def number_alone(text: str, worst: int, best: int) -> Statement | None:
    """Return the score that a text of nothing but a number states, if it is one."""
    text = scale.mark_scales(plain_text(text), worst, best)
    return next(_Reader(text, worst, best).alone(), None) if "\n" not in text else None


class _Reader:
    """Reads the numbers of one text."""

    def __init__(self, text: str, worst: int, best: int) -> None:
        self._text, self._worst, self._best = text, worst, best

    def read(self, number: re.Match[str]) -> Statement | None:
        """Return what is stated with a number; None if it is no score."""
        before = self._text[max(0, number.start() - _BEFORE) : number.start()]
        after = self._text[number.end() : number.end() + _AFTER]
        unit = _UNIT.match(after)
        assert unit
        rest = after[unit.end() :]
        if _is_part_of_something(before, after, rest):
            return None
        said = _statement(before)
        stated = self._how(said, unit, rest)
        if stated is None:
            return None
        kind, trigger = stated
        since = max((m.end() for m in _TURN.finditer(said, 0, trigger + 1)), default=0)
        near = said[max(since, said.rfind(",", 0, trigger) + 1, trigger - 25) :]
        if (
            _NOT_GIVEN.search(near)
            or _BOUND.search(said)
            or _TAKEN_BACK.match(after)
            or _HYPOTHETICAL.search(said[since:])
        ):
            return None
        part = kind in ("aspect", "correction") or bool(
            _ASPECT.search(said[since:]) or _FOR_ASPECT.match(rest)
        )
        called = list(_FINAL.finditer(said))
        final = any(m.start() >= trigger - 30 or m.start() < 3 for m in called)
        if part and (
            kind in ("aspect", "correction")
            or _ASPECT.search(said[called[-1].end() :] if final else "")
        ):
            final = False
        percent = unit["unit"] in ("%", "percent") and self._worst == 0 and self._best == 100
        good = self._value(number[0]) if not self._is_bad(before, rest) else None
        return Statement(
            value=good,
            final=final,
            total=final and bool(_TOTAL.search(said)),
            part=part and not final,
            explicit=unit["of"] == OF_ASKED or kind == "explicit" or percent,
            other_scale=unit["of"] == OF_OTHER
            or (unit["unit"] in ("%", "percent") and not percent),
            perfect=bool(_PERFECT.search(near)),
        )

    def alone(self) -> Iterator[Statement]:
        """Yield the numbers that stand alone on a line.

        Within a text they may be anything, but they leave doubt about another score.
        """
        lines = self._text.split("\n")
        for place, line in enumerate(lines):
            if len(line) < _BEFORE and (match := _ALONE.fullmatch(line)):
                percent = (match["unit"] or "").strip() in ("%", "percent")
                asked = match["of"] == OF_ASKED or ASKED_SCALE in line
                yield Statement(
                    self._value(match["number"]),
                    explicit=asked or (percent and self._best == 100),
                    other_scale=match["of"] == OF_OTHER or (percent and self._best != 100),
                    part=place not in (0, len(lines) - 1),
                )

    def _how(self, said: str, unit: re.Match[str], rest: str) -> tuple[str, int] | None:
        """Return how a number is stated as a score and where that begins, if it is."""
        ends, stops = _ENDS.match(rest), _STOPS.match(rest)
        for label in reversed(list(_CLOSE.finditer(said))[-3:]):
            gap = said[label.end() :]
            close = _CLOSE_GAP.fullmatch(gap) or (label["final"] and _EQUATION.fullmatch(gap))
            if close and (stops or unit["of"]):
                return str(label.lastgroup), label.start()
        triggers = [*_LABEL.finditer(said), *_VERB.finditer(said)]
        for trigger in sorted(triggers, key=lambda m: -m.start()):
            gap = said[trigger.end() :]
            if ends and (
                (_GAP.fullmatch(gap) and (_GAP_END.search(gap) or not re.search(r"\w", gap)))
                or _EQUATION.fullmatch(gap)
            ):
                return "label", trigger.start()
        at = len(said)
        if ends and (unit["of"] == OF_ASKED or ASKED_SCALE in rest[:4] or _NEAR_SCALE.search(said)):
            return "explicit", at
        if stops and "\n" not in self._text and _LONE.fullmatch(said):
            return None if _OF_SOMETHING_ELSE.search(said) else ("label", at)
        if stops and (taken_back := _CORRECTION.search(said)):
            return "correction", taken_back.start()
        if (unit["unit"] or "") in ("점", "点", "點", "分") and (
            _STOPS.match(rest) or re.match(words.PARTICLE, rest)
        ):
            return "unit", at
        return None

    def _is_bad(self, before: str, rest: str) -> bool:
        """Return whether a stated number is negative, glued to letters, or one of several."""
        negative = re.search(r"(?:^|[\s:=(])-\Z|\.\Z", before)
        letter = rest[:1].isalpha() and ord(rest[0]) < 0x2E80
        return bool(negative or letter or rest[:1] == "_" or _NUMBERS_FOLLOW.match(rest))

    def _value(self, number: str) -> float | None:
        """Return a number of the scale; None for others, and for what may be of a scale to 1."""
        if not _VALUE.fullmatch(number) or not self._worst <= float(number) <= self._best:
            return None
        value = float(number)
        of_one = 0 < value < 1 or (value == 1 and "." in number)
        return None if of_one and self._worst <= 0 and self._best > 1 else value


def _is_part_of_something(before: str, after: str, rest: str) -> bool:
    """Return whether a number is part of a name, of a list's numbering or of a calculation."""
    last = before[-1:]
    if (last.isalpha() and ord(last) < 0x2E80) or last in tuple("_$€£¥#@"):
        return True
    if last in ("", "\n") and _LIST_MARK.match(after):
        return True
    return bool(_OPERAND.match(rest) or _AFTER_OPERATOR.search(before))


def _statement(before: str) -> str:
    """Return the words of the same statement in front of a number.

    A number that begins a line belongs to the line above it.
    """
    line = before.rstrip(" \n\"'([{|*")
    start = max((m.end() for m in _SENTENCE_END.finditer(line)), default=0)
    return before[start:]

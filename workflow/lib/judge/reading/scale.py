"""The scales and ranges in a reply, replaced by marks, so that they are not taken for scores."""

import re

from workflow.lib.judge.reading.words import NUMBER, OUT_OF, SCALE, TO, UNIT, alone

# Control characters, which `plain_text` leaves none of.
OF_ASKED, OF_OTHER = "\x02", "\x03"  # after a number: out of the best one, out of another
ASKED_SCALE, OTHER_SCALE = "\x04", "\x05"  # in place of "0 to 100", of "1 to 10"
RANGE = "\x06"  # in place of "80 to 90"

_RANGE = re.compile(
    rf"(?P<low>{NUMBER})(?: ?{UNIT})?(?: ?{TO} ?(?P<high>{NUMBER})){{1,3}}(?: ?{UNIT})?"
)
_BETWEEN = re.compile(
    rf"(?:between|zwischen|entre) (?P<low>{NUMBER}) (?:and|und|et|y|e) (?P<high>{NUMBER})"
)
_OUT_OF = re.compile(
    rf"(?P<number>{NUMBER})(?: ?{UNIT})? ?\(?{OUT_OF} ?(?P<best>{NUMBER})(?: ?{UNIT})?"
)
_SCALE = re.compile(SCALE.replace("{n}", NUMBER))
_USUAL = {"1", "3", "4", "5", "6", "7", "10", "15", "20", "50", "100", "1000"}
_OF_A_SCALE = re.compile(alone(r"scale|range|from|between|skala|échelle|escala") + r"|척도|\(\s?$")


def mark_scales(text: str, worst: int, best: int) -> str:
    """Return the text with marks in place of scales and ranges.

    Args:
        text: from `plain_text`.
        worst, best: ends of the scale that the judge was asked for.
    """

    def mark_range(match: re.Match[str]) -> str:
        if match["low"] in {"0", "1", str(worst)} and match["high"] == str(best):
            return ASKED_SCALE
        before = text_of_match[max(0, match.start() - 30) : match.start()]
        if match["low"] in ("0", "1") and _OF_A_SCALE.search(before):
            return OTHER_SCALE
        return RANGE

    def mark_scale(match: re.Match[str]) -> str:
        number = re.findall(NUMBER, match[0])[0]
        if number == str(best):
            return ASKED_SCALE
        return OTHER_SCALE if number in _USUAL else match[0]

    for pattern in (_BETWEEN, _RANGE):
        text_of_match = text
        text = pattern.sub(mark_range, text)
    text = _OUT_OF.sub(
        lambda m: m["number"] + (OF_ASKED if m["best"] == str(best) else OF_OTHER), text
    )
    return _SCALE.sub(mark_scale, text)

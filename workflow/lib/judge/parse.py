"""Reads the score out of what a judge wrote: never guessed, never clamped, never made 0."""

from collections.abc import Sequence

from workflow.lib.judge.reading.json_score import json_statements, split_json
from workflow.lib.judge.reading.plain import plain_characters, plain_text
from workflow.lib.judge.reading.statements import Statement, statements
from workflow.lib.judge.reading.thoughts import final_answer


def read_score(reply: str, worst: int = 0, best: int = 100) -> float | None:
    """Return the score in a judge's reply, in the chapter's points (section 7.8).

    The chapter takes a whole number alone, `int(score)` in listing 7.11. Judges also write "Score:
    85", "I'd rate it 85 out of 100", {"score": 85} and more, after thoughts or with scores of
    single aspects. Every statement of a score counts; where they disagree, those called final,
    overall or total decide.

    Args:
        reply: text of the judge, unchanged.
        worst, best: the ends of the scale that the prompt asks for; mapped to 0 and 100.

    Returns:
        0 to 100; None if no score is stated, several are, or one outside the scale.
    """
    answer = final_answer(reply)
    if answer is None:
        return None
    objects, text = split_json(plain_characters(answer))
    points = _agreed(statements(plain_text(text), worst, best))
    in_json = [stated for found in objects for stated in json_statements(found, worst, best)]
    if in_json:
        of_json = _agreed(in_json)
        points = of_json if points in (None, of_json) else None
    return None if points is None else (points - worst) * 100 / (best - worst)


def _agreed(stated: Sequence[Statement]) -> float | None:
    """Return the score that all statements agree on; None if there is none."""
    if any(s.other_scale for s in stated):  # 8 may be 8/10
        stated = [s for s in stated if s.explicit and not s.other_scale]
    # "Not a perfect score of 100" speaks of 100, and "a perfect score of 100" alone gives it.
    stated = [s for s in stated if not s.perfect] or stated
    finals = [s for s in stated if s.final]
    values = {s.value for s in finals or stated}
    if len(values) != 1 or all(s.part for s in stated):
        return None
    value = values.pop()
    others = {s.value for s in stated if not s.final}
    if any(s.total for s in finals) and others - {value} and value == 100:
        return None  # "85. Total: 100" gives the best possible score
    return value

"""Reads the verdict on two responses out of what a judge wrote: never guessed."""

from workflow.lib.judge.reading.json_score import split_json
from workflow.lib.judge.reading.plain import plain_characters
from workflow.lib.judge.reading.preference import json_verdicts, marked_verdicts, stated_verdicts
from workflow.lib.judge.reading.thoughts import final_answer


def read_verdict(reply: str) -> str | None:
    """Return which of two responses a judge finds better.

    Judges write A, B or tie alone, [[A]], "Answer: B", "Response A is better", {"winner": "A"} and
    more. Every statement of a verdict counts; where they disagree, those called final or overall
    decide, or else one that is marked, as by brackets or in JSON.

    Args:
        reply: text of the judge, unchanged.

    Returns:
        `first`, `second` or `tie`; None if no verdict is stated, or several are.
    """
    answer = final_answer(reply)
    if answer is None:
        return None
    objects, text = split_json(plain_characters(answer))
    in_json = [verdict for found in objects for verdict in json_verdicts(found)]
    marked, text = marked_verdicts(text)
    said = stated_verdicts(text)
    if not (in_json or marked):
        return _agreed(said)
    verdict = _agreed([*in_json, *marked])
    return verdict if len({*said, verdict}) == 1 or _agreed(said) is None else None


def _agreed(verdicts: list[str | None]) -> str | None:
    """Return the verdict that all statements agree on; None if there is none."""
    return verdicts[0] if len(set(verdicts)) == 1 else None

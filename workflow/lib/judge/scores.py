"""What a judge said about a response: the row that the judge writes and the report reads."""

from dataclasses import dataclass, fields

STATUSES = ("scored", "unparsed", "failed", "empty")


@dataclass(frozen=True)
class Verdict:
    """One row of scores.csv.

    Args:
        model, recipe, judge: names in config.yaml.
        entry: number of the test entry, from 0.
        repeat: which asking about this entry, from 0.
        score: 0 to 100, or nothing.
        status: `scored`; `empty`, an empty response, which scores 0 unasked; `unparsed`, a reply
            without a readable score; `failed`, no reply.
        exact_match: 1 if response and reference are equal but for outer white space, else 0.
        response_tokens: length of the response in words and punctuation marks, if it was counted.
        reply: what the judge wrote; nothing from the overlap judge.
        prompt_sha256: of the question; nothing from the overlap judge.
        response_sha256: of the response.
    """

    model: str
    recipe: str
    judge: str
    entry: int
    repeat: int
    score: float | None
    status: str
    exact_match: int
    response_tokens: int | None
    reply: str
    prompt_sha256: str
    response_sha256: str


COLUMNS = tuple(field.name for field in fields(Verdict))

"""usage.json, the effort of judging, written and read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from workflow.lib.data.stored import Stored, Whole, read_stored
from workflow.lib.judge.cache import Reply
from workflow.lib.settings.judges import JudgeSettings, ServerJudge


class _Usage(Stored):
    backend: str
    digests: list[str]
    servers: list[str]
    answers: Whole
    question_tokens: Whole
    answer_tokens: Whole
    seconds: float = Field(ge=0)
    cost: float | None = Field(ge=0)


def read_usage(path: Path) -> dict[str, Any]:
    """Read usage.json.

    Raises:
        UserError: it is damaged.
    """
    return read_stored(path, _Usage)


def usage_of(judge: JudgeSettings, replies: Sequence[Reply]) -> dict[str, Any]:
    """Sum up tokens, time and cost of the replies; the same if all came from the cache."""
    question_tokens = sum(reply.question_tokens or 0 for reply in replies)
    answer_tokens = sum(reply.answer_tokens or 0 for reply in replies)
    prices = judge.prices if isinstance(judge, ServerJudge) else None
    cost = None
    if prices and all(reply.answer_tokens is not None for reply in replies):
        cost = (question_tokens * prices.input + answer_tokens * prices.output) / 1_000_000
    return {
        "backend": judge.backend,
        "digests": sorted({reply.digest for reply in replies if reply.digest}),
        "servers": sorted({reply.server for reply in replies if reply.server}),
        "answers": len(replies),
        "question_tokens": question_tokens,
        "answer_tokens": answer_tokens,
        "seconds": round(sum(reply.seconds for reply in replies), 3),
        "cost": None if cost is None else round(cost, 6),
    }

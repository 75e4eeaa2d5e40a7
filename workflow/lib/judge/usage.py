"""usage.json, the effort of judging, as the jobs after it read it."""

from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt

from workflow.lib.data.stored import Stored, read_stored


class _Usage(Stored):
    backend: str
    digests: list[str]
    servers: list[str]
    answers: NonNegativeInt
    question_tokens: NonNegativeInt
    answer_tokens: NonNegativeInt
    seconds: float = Field(ge=0)
    cost: float | None = Field(ge=0)


def read_usage(path: Path) -> dict[str, Any]:
    """Read usage.json.

    Raises:
        UserError: it is damaged.
    """
    return read_stored(path, _Usage)

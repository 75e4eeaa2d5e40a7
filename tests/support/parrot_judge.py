"""A made-up kind of judge, as a new file of judge/backends/ would be: `backend: parrot`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply
from workflow.lib.settings.judges import ServerJudge


class Parrot(ServerJudge):
    """A bird that has learned one sentence."""

    backend: Literal["parrot"]
    cage: str = Field("the kitchen", description="where the bird lives")
    sentence: str = Field("Score: 42", description="what it has learned")

    @property
    def address(self) -> str:
        """The place of the cage."""
        return self.cage


class ParrotBackend(ServerBackend[Parrot]):
    """Hears the bird."""

    def preflight(self) -> dict[str, Any]:
        """See that the bird is awake."""
        return {"digest": "gray", "awake": True}

    def ask(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Wait for the bird to speak."""
        words = len(request["messages"][0]["content"].split())
        return Reply(
            text=self.settings.sentence,
            question_tokens=words,
            answer_tokens=2,
            seconds=0.5,
            digest="gray",
            server=self.address,
        )

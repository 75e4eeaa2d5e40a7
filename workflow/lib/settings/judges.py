"""Judges, one class a backend, and how their servers are spoken to."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from workflow.lib.settings.base import Count, Number, Section


class Overlap(Section):
    """Agreement of words and numbers with the reference: needs no server, is not an LLM."""

    backend: Literal["overlap"]

    @property
    def label(self) -> str:
        """A warning that this is no language model."""
        return "reference-overlap score, not an LLM's judgement"

    @property
    def note(self) -> str:
        """The same warning, short, for the console."""
        return "reference overlap, not an LLM"


class Transport(Section):
    """How a judge's server is spoken to; changes no score, so it reruns nothing."""

    concurrency: Count = Field(1, description="questions asked at the same time")
    timeout: Number = Field(120.0, gt=0, description="seconds an answer may take")
    first_timeout: Number = Field(600.0, gt=0, description="the same, while the model is loaded")
    retries: Annotated[int, Field(ge=0)] = Field(4, description="further tries after a failure")
    backoff: Number = Field(1.0, ge=0, description="seconds before the first of them; doubles")


FILE = "file:"  # before the path of a file that holds an address


def check_address(address: str) -> str:
    """Refuse what no request could be sent to, and passwords, which would end up in records."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("should be an address such as http://localhost:11434")
    if parts.username is not None:
        raise ValueError("should hold no name or password")
    return address


def _address_or_file(address: str) -> str:
    if address.startswith(FILE) and address != FILE:
        return address
    return check_address(address)


Address = Annotated[str, AfterValidator(_address_or_file)]


class Asked(Section):
    """What every judge that is asked in words has in common."""

    prompt: str = Field(
        "integer",
        min_length=1,
        description="a file of workflow/prompts/judge, without .yaml, or the path of one's own",
    )
    repeats: Count = Field(1, description="times each entry is judged, the seed one higher each")
    max_failed: Annotated[int, Field(ge=0)] = Field(
        0, description="entries that may stay without an answer before the job fails"
    )
    max_unparsed: Number = Field(
        0.1, ge=0, le=1, description="share of the answers that may hold no readable score"
    )
    options: dict[str, bool | int | float | str | list[str]] = Field(
        {"seed": 123, "temperature": 0}, description="options of the model"
    )
    transport: Transport = Transport()
    model: str = Field(min_length=1, description="as the server lists it")

    @property
    def label(self) -> str:
        """Who judges, in words that leave no doubt that it is a language model."""
        return f"the judgement of {self.model}, a language model"

    @property
    def note(self) -> str:
        """Words behind the judge's name on the console; none for a language model."""
        return ""

    @model_validator(mode="after")
    def repeats_differ_by_their_seed(self) -> "Asked":
        if self.repeats > 1 and not isinstance(self.options.get("seed"), int):
            raise ValueError("repeats need a whole number as options.seed, to ask differently")
        return self


class Ollama(Asked):
    """A model of an Ollama server (listings 7.10 and 7.11)."""

    backend: Literal["ollama"]
    model: str = Field(min_length=1, description="as `ollama list` names it")
    url: Address = Field(
        "http://localhost:11434", description="of the server, or file: and a file that holds it"
    )
    options: dict[str, bool | int | float | str | list[str]] = Field(
        {"seed": 123, "temperature": 0, "num_ctx": 2048}, description="options of the model"
    )

    @field_validator("options")
    @classmethod
    def keep_what_is_not_named(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Without num_ctx the server cuts prompts where nobody sees it."""
        return {**cls.model_fields["options"].default, **options}

    think: bool | None = Field(None, description="whether a thinking model thinks; its own choice")
    pull: bool = Field(False, description="let the server download the model if it lacks it")


class Prices(Section):
    """What a server charges, in its currency for a million tokens."""

    input: Number = Field(ge=0, description="for the questions")
    output: Number = Field(ge=0, description="for the answers")


class OpenAI(Asked):
    """A model of an OpenAI-compatible server: OpenAI's own, vLLM, llama.cpp and others."""

    backend: Literal["openai"]
    model: str = Field(min_length=1, description="as the server lists it")
    base_url: Address = Field(
        "https://api.openai.com/v1", description="up to /v1, or file: and a file that holds it"
    )
    api_key_env: str | None = Field(
        "OPENAI_API_KEY", description="environment variable with the key; null: none needed"
    )
    prices: Prices | None = Field(None, description="to count what the judging costs")


Judge = Annotated[Overlap | Ollama | OpenAI, Field(discriminator="backend")]

"""The `judges` section: the settings that all judges share, and how those of a backend are found.

A backend is a file of judge/backends/, named by `backend` and imported only when it is named. It
holds an implementation and the class of its settings, which derives from one of those below.
"""

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from workflow.lib.runtime.names import shown, suggest
from workflow.lib.settings.base import Count, Number, Section, Seed, WholeNumber, one_of, unique

BACKENDS = "workflow.lib.judge.backends"
REFERENCE = "reference"  # as baseline: the data set's own answers


class JudgeSettings(Section):
    """The settings that all judges share."""

    backend: str = Field(description="a file of workflow/lib/judge/backends, without .py")
    # The usual values are left out of dumps, so that a judge of scores keeps its identity.
    kind: Literal["score", "pairwise"] = Field(
        "score",
        exclude_if=lambda kind: kind == "score",
        description="score: each response from 0 to 100; pairwise: which of two is better",
    )
    baseline: str | None = Field(
        None,
        min_length=1,
        exclude_if=lambda baseline: baseline is None,
        description="of a pairwise judge: recipe or model/recipe to compare with, or reference",
    )

    needs_server: ClassVar[bool] = False
    # Options that change no score: they neither rerun a judge nor count in its identity.
    changes_no_score: ClassVar[frozenset[str]] = frozenset()
    # Whether it judges by the reference, which it could then only find the best of all.
    knows_reference: ClassVar[bool] = False

    @model_validator(mode="after")
    def has_a_baseline_if_pairwise(self) -> Self:
        if self.pairwise and self.baseline is None:
            raise ValueError(
                "kind pairwise needs a `baseline`: a recipe, model/recipe or reference"
            )
        if not self.pairwise and self.baseline is not None:
            raise ValueError("baseline is of judges with `kind: pairwise`; remove it or set that")
        if self.baseline == REFERENCE and self.knows_reference:
            raise ValueError(
                f"baseline: {self.backend} compares with the reference, which nothing can surpass; "
                "name a recipe"
            )
        return self

    @property
    def pairwise(self) -> bool:
        """Whether it says which of two responses is better."""
        return self.kind == "pairwise"

    @property
    @abstractmethod
    def label(self) -> str:
        """A description of the judge that says whether it is a language model."""

    @property
    def note(self) -> str:
        """The note after the judge's name on the console; empty for a language model."""
        return self.label


class RatingPage(Section):
    """What stands on the page on which people rate; changes no score, so it reruns nothing."""

    entries: Count | None = Field(
        30, description="test entries to put on the page, drawn at random; null: all"
    )
    seed: Seed = Field(123, description="of the draw and of the order of entries and answers")


def _named(files: list[str]) -> list[str]:
    if not all(map(str.strip, files)):
        raise ValueError("should name files that the page for raters saved, not a blank")
    return files


class RatedJudge(JudgeSettings):
    """The settings of a judge whose scores or verdicts people have saved as files."""

    ratings: Annotated[list[str], AfterValidator(_named), AfterValidator(unique)] = Field(
        [], description="CSV files that the page for raters saved; several raters have one each"
    )
    page: RatingPage = RatingPage()

    # A rated answer stays rated, wherever it stood.
    changes_no_score = frozenset({"page"})


class Transport(Section):
    """How requests are sent to a judge's server; changes no score, so it reruns nothing."""

    concurrency: Count = Field(1, description="requests at the same time")
    timeout: Number = Field(120.0, gt=0, description="seconds a reply may take")
    first_timeout: Number = Field(
        600.0, gt=0, description="seconds the first reply may take, while the model is loaded"
    )
    retries: WholeNumber = Field(4, description="retries of a failed request")
    backoff: Number = Field(1.0, ge=0, description="seconds before the first retry; doubles")


class Prices(Section):
    """The prices of a server for a million tokens, in its currency."""

    input: Number = Field(ge=0, description="price of the requests' tokens")
    output: Number = Field(ge=0, description="price of the replies' tokens")


Options = dict[
    str,
    Annotated[
        bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | list[str] | None,
        one_of("a finite number, text, true, false, null or a list of texts"),
    ],
]


class ServerJudge(JudgeSettings):
    """The settings that all judges on a server share; they are language models."""

    model: str = Field(min_length=1, description="name of the model, as the server lists it")
    prompt: str = Field(
        "integer",
        min_length=1,
        description="a file of workflow/prompts/judge, without .yaml, or the path of your own; of "
        "a pairwise judge pairs, or pairs-free beside the reference",
    )
    repeats: Count = Field(1, description="times each entry is judged, each with the next seed")
    max_failed: WholeNumber = Field(
        0, description="entries that may stay without a reply before the job fails"
    )
    ask_again: Annotated[int, Field(ge=0, le=1)] = Field(
        1, description="times to ask for the number alone where a reply holds no readable score"
    )
    max_unparsed: Number = Field(
        0.1, ge=0, le=1, description="share of the replies that may hold no readable score"
    )
    options: Options = Field(
        {"seed": 123, "temperature": 0}, description="options of the model; null leaves one out"
    )
    check: Literal["refuse", "warn"] = Field(
        "refuse",
        description="what follows if the judge does not score a right answer above a wrong one",
    )
    transport: Transport = Transport()
    prices: Prices | None = Field(None, description="prices, to compute what judging costs")

    needs_server = True
    changes_no_score = frozenset({"transport", "check"})
    # What a request holds besides the options, which an option of that name would replace.
    not_options: ClassVar[frozenset[str]] = frozenset(
        {"model", "messages", "prompt", "input", "stream", "format", "response_format", "truncate"}
    )

    @model_validator(mode="before")
    @classmethod
    def ask_pairs_about_pairs(cls, values: Any) -> Any:
        """Fill in the usual prompt of a pairwise judge."""
        if isinstance(values, Mapping) and values.get("kind") == "pairwise":
            usual = "pairs-free" if values.get("baseline") == REFERENCE else "pairs"
            return {"prompt": usual, **values}
        return values

    @field_validator("options")
    @classmethod
    def replace_nothing_else(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse options that would replace other parts of a request."""
        if found := [name for name in options if name.strip().lower() in cls.not_options]:
            raise ValueError(f"should hold no {', '.join(found)}: the pipeline itself sends that")
        return options

    @model_validator(mode="after")
    def repeats_differ_by_their_seed(self) -> "ServerJudge":
        if self.repeats > 1 and not isinstance(self.options.get("seed"), int):
            raise ValueError("repeats above 1 need an integer options.seed to differ by")
        return self

    @property
    @abstractmethod
    def address(self) -> str:
        """Address of the server, or `file:` and the path of a file that holds it."""

    @classmethod
    def is_of_the_server(cls, address: str) -> str:
        """Refuse an address that no server of this backend can have."""
        return address

    @property
    def label(self) -> str:
        """A description of the judge that says whether it is a language model."""
        return f"the judgment of {self.model}, a language model"

    @property
    def note(self) -> str:
        """The note after the judge's name on the console; empty for a language model."""
        return ""


def backend_names() -> list[str]:
    """Return the names of all backends: the files of judge/backends/, sorted."""
    folders = importlib.import_module(BACKENDS).__path__
    return sorted(module.name for module in pkgutil.iter_modules(folders))


def settings_class(backend: object) -> type[JudgeSettings]:
    """Return the class of a backend's settings.

    Raises:
        ValueError: there is no backend of this name.
    """
    names = backend_names()
    if backend not in names:
        raise ValueError(f"unknown backend {shown(backend)}{suggest(str(backend), names)}")
    return class_in_backend(f"{BACKENDS}.{backend}", JudgeSettings)


def class_in_backend(module: str, base: type) -> type:
    """Return the one class that a backend's file derives from a base class.

    Raises:
        TypeError: the file holds none, or several.
    """
    found = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module
    ]
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise TypeError(f"{module} should hold one class derived from {base.__name__}, not {names}")
    return found[0]


class _ByBackend:
    """Makes pydantic read a judge with the settings class of the backend that it names."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_read_judge)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema of all backends, told apart by `backend`."""
        classes = {name: settings_class(name) for name in backend_names()}
        return handler(
            core_schema.tagged_union_schema(
                {name: TypeAdapter(found).core_schema for name, found in classes.items()},
                discriminator="backend",
            )
        )


Judge = Annotated[JudgeSettings, _ByBackend]


def _read_judge(value: Any) -> JudgeSettings:
    """Check an entry of `judges`; paths in errors are relative to it."""
    if isinstance(value, JudgeSettings):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("dict_type", "Input should be a section of keys")
    if "backend" not in value:
        raise ValidationError.from_exception_data(
            "judge", [{"type": "missing", "loc": ("backend",), "input": value}]
        )
    try:
        found = settings_class(value["backend"])
    except ValueError as error:
        mistake = PydanticCustomError("value_error", "{mistake}", {"mistake": str(error)})
        raise ValidationError.from_exception_data(
            "judge", [{"type": mistake, "loc": ("backend",), "input": value["backend"]}]
        ) from error
    return found.model_validate(value)

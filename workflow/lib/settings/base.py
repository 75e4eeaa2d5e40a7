"""The base class of all sections of config.yaml, and the types of names and numbers in them."""

import unicodedata
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from workflow.lib.runtime.names import cut, suggest


class Section(BaseModel):
    """A section of config.yaml: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="wrap")
    @classmethod
    def suggest_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Name the nearest key of this section for each one that it does not know."""
        try:
            return handler(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                error.title, [cls._with_suggestion(detail) for detail in error.errors()]
            ) from error

    @classmethod
    def _with_suggestion(cls, detail: ErrorDetails) -> InitErrorDetails:
        """Return a mistake, with the nearest key if it is an unknown key of this section."""
        kind, message, loc = detail["type"], detail["msg"], detail["loc"]
        if kind == "extra_forbidden" and len(loc) == 1:
            kind, message = "unknown_key", f"unknown key{suggest(str(loc[0]), cls.model_fields)}"
        told = PydanticCustomError(kind, "{message}", {"message": message})
        return {"type": told, "loc": loc, "input": detail["input"]}


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {value}")
    return value


def one_of(kinds: str) -> WrapValidator:
    """Return what gives a value of several kinds one mistake, not one for each kind.

    Args:
        kinds: what the value should be.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            expected = {"expected": f"Input should be {kinds}"}
            raise PydanticCustomError("kind_type", "{expected}", expected) from error

    return WrapValidator(check)


def unique(names: list[Any]) -> list[Any]:
    """Refuse a list that holds a value more than once."""
    if repeated := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(map(cut, repeated))} more than once")
    return names


def folder_of(name: str) -> str:
    """Return what a name is to file systems that ignore case and the form of Unicode."""
    return unicodedata.normalize("NFC", name).casefold()


# Names become folders under results/ and resources/, and parts of file names.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
NameList = Annotated[
    list[str],
    AfterValidator(unique),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# YAML reads 5e-5 as text; a number field accepts it. Integer fields stay strict.
Number = Annotated[float, BeforeValidator(_not_a_bool), Field(strict=False, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
WholeNumber = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

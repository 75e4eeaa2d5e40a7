"""The base class of all sections of config.yaml, and the types of names and numbers in them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A section of config.yaml: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {value}")
    return value


def _unique(names: list[str]) -> list[str]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(repeated)} more than once")
    return names


# Names become folders under results/ and resources/.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NameList = Annotated[
    list[str],
    AfterValidator(_unique),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# YAML reads 5e-5 as text; a number field accepts it. Integer fields stay strict.
Number = Annotated[float, BeforeValidator(_not_a_bool), Field(strict=False, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

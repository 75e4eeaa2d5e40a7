"""What the sections of config.yaml are made of: names, numbers, and the class of them all."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of config.yaml: cannot change once read, and knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {value}")
    return value


def _no_repetition(names: list[str]) -> list[str]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(repeated)} more than once")
    return names


# Plain names only: they become folders under results/ and resources/.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Names = Annotated[list[str], AfterValidator(_no_repetition), Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# YAML reads 5e-5 as text; these accept it as the number it means. Whole numbers stay strict.
Number = Annotated[
    float, BeforeValidator(_no_truth_value), Field(strict=False, allow_inf_nan=False)
]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

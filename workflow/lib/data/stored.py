"""Checking the JSON files that jobs hand on to each other."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

# Numbers that any other program can read, too: JSON's are often floating-point ones.
Whole = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(gt=0, lt=2**53)]
# The default of a key that may be missing, but may not be null.
OPEN: Any = None


class Stored(BaseModel):
    """The keys of a JSON file with the types of their values; other keys are let pass."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())


def read_stored(path: Path, form: type[Stored], needs: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON file that another job wrote.

    Args:
        form: of its content.
        needs: keys that the reader needs of those that the form leaves open, because earlier
            versions did not write them; `a.b` for a key in a section.

    Raises:
        UserError: it is damaged, or a key is missing or has another type.
    """
    content = read_json(path, made=True)
    try:
        form.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its content"
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {where}: {message}; delete it and run again") from error
    if missing := [key for key in needs if not _has(content, key.split("."))]:
        raise UserError(
            f"{path}: not a {path.name} of this version, it lacks {', '.join(missing)}; delete it "
            "and run again"
        )
    return content


def _has(content: Any, keys: Sequence[str]) -> bool:
    """Return whether an object has a key, or a section with a key."""
    for key in keys:
        if key not in content:
            return False
        content = content[key]
    return True

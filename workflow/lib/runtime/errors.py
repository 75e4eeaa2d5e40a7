"""The one exception for everything a user can put right."""

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do; shown without a traceback."""


def or_exit(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call, or end the program with the one line that says what the user can put right."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        sys.exit(f"error: {error}")


def first_line(error: BaseException) -> str:
    """What an error says, or else its kind, in one line."""
    return str(error).partition("\n")[0] or type(error).__name__

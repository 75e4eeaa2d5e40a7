"""The one exception for everything a user can put right."""

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from workflow.lib.runtime.printable import printable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class UserError(Exception):
    """An error that the user can fix: one line that says what is wrong, where, and what to do."""


def or_exit(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function; on a UserError end the program with its one line."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        sys.exit(f"error: {printable(str(error))}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return str(error).partition("\n")[0] or type(error).__name__

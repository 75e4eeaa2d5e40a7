"""What can be told of a downloaded data set at once: that it is one."""

from pathlib import Path

from workflow.lib.data.formats import read_records
from workflow.lib.runtime.errors import UserError

_OF_MESSAGES = {"error", "errors", "message", "detail", "details", "code", "status", "fault"}


def check_data_set(path: Path) -> None:
    """Check that a file holds entries and not a server's message.

    Raises:
        UserError: it does not; says why.
    """
    first, *others = read_records(path).rows
    if not others and isinstance(first, dict) and _OF_MESSAGES & {key.lower() for key in first}:
        raise UserError(f"{path}: holds no entries but a message: {str(first)[:200]}")

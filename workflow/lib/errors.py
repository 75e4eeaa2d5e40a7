"""The one exception for everything a user can put right."""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do; shown without a traceback."""


def first_line(error: BaseException) -> str:
    """What an error says, or else its kind, in one line."""
    return str(error).partition("\n")[0] or type(error).__name__

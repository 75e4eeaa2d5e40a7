"""The one exception for everything a user can put right."""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do; shown without a traceback."""

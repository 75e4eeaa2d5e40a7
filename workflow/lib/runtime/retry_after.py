"""The Retry-After header of a busy server."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds_of(header: str | None) -> float:
    """Return how long a Retry-After header asks to wait.

    Args:
        header: a number of seconds, a date, or None if the response has no such header.

    Returns:
        Seconds from now; 0 if the header is missing, unreadable or in the past.
    """
    try:
        return max(0.0, float(header or 0))  # 0 for NaN
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header or "").astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # also of dates that no calendar has
        return 0.0
    return max(0.0, (date - datetime.now(UTC)).total_seconds())

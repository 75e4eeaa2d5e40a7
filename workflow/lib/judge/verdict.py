"""Reads the verdict on two responses out of what a judge wrote: never guessed."""


def read_verdict(reply: str) -> str | None:
    """Return which response a judge finds better: first, second or tie; None if unclear."""
    return {"a": "first", "b": "second", "tie": "tie"}.get(reply.strip().lower())

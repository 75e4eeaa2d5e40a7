"""Entries from conversations: ShareGPT's, and lists of messages with roles."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workflow.lib.data.entries import json_type
from workflow.lib.data.records import Records

# What the names of roles stand for, in lower case.
_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant",
    "bot": "assistant", "bard": "assistant", "bing": "assistant",
}  # fmt: skip
_KEYS = {"role": "content", "from": "value"}  # of a message: who says it, and what


def are_messages(value: Any) -> bool:
    """Return whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and not _KEYS.keys().isdisjoint(each) for each in value)
    )


def entries_of_messages(records: Records) -> Records:
    """Return the rows of conversations as entries.

    The user's message is the instruction or, after a message of the system, the input to that one.
    The further fields of a row are kept. A row that is not one question and its answer is a fault.
    """
    rows: list[Any] = []
    faults = dict(records.faults)
    for number, row in enumerate(records.rows):
        fields = row if isinstance(row, dict) else {"messages": row}
        found = [value for value in fields.values() if are_messages(value)]
        texts = _texts_of(found[0]) if len(found) == 1 else "should have one list of messages"
        if isinstance(texts, str):
            faults.setdefault(number, texts)
            texts = dict.fromkeys(("instruction", "input", "output"), "")
        rows.append({n: v for n, v in fields.items() if not are_messages(v)} | texts)
    return replace(records, rows=rows, faults=faults)


def _texts_of(messages: Sequence[dict[str, Any]]) -> dict[str, str] | str:
    """Return the three texts of a conversation, or why it has none, as the end of a sentence."""
    said: list[tuple[str, str]] = []
    for message in messages:
        who = "from" if message.get("role") is None and "from" in message else "role"
        what = _KEYS[who]
        role = _ROLES.get(str(message[who]).strip().lower())
        if role is None:
            return f"has a message of the role {message[who]!a}"
        text = _text_of(message.get(what))
        if text is None:
            return f"has {json_type(message.get(what))} as {what!r} of a message, should be text"
        said.append((role, text))
    if said[0][0] == "system" and not said[0][1].strip():
        del said[0]
    match said:
        case [("user", asked), ("assistant", answer)]:
            return {"instruction": asked, "input": "", "output": answer}
        case [("system", told), ("user", asked), ("assistant", answer)]:
            return {"instruction": told, "input": asked, "output": answer}
    roles = [role for role, _ in said]
    if (turns := roles.count("user")) > 1:
        return f"has {turns} turns; only conversations of a single one can be learned"
    return f"has messages of {', '.join(roles) or 'nobody'}; should be of user, then of assistant"


def _text_of(content: Any) -> str | None:
    """Return the text of a message, which may be a list of parts; None if it is not all text."""
    if isinstance(content, list) and content:
        texts = [part.get("text") if isinstance(part, dict) else part for part in content]
        found = [text for text in texts if isinstance(text, str)]
        return "".join(found) if len(found) == len(texts) else None
    return content if isinstance(content, str) else None

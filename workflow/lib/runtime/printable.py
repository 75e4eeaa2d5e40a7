"""Texts from elsewhere as they may be printed: without secrets, and unable to steer a terminal.

Servers, data sets and models can write anything. The log and the console of the commands pass
every line through `printable`; what is kept of a server passes through `redacted`.
"""

import html
import re
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

Value = TypeVar("Value")

# All control characters but tab and line feed, those that reverse the direction of writing, and
# other ends of lines.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
# Shorter texts are no secrets and could be part of any word, as stand-ins for a key often are.
_SHORTEST, _SHORTEST_OF_LETTERS = 6, 7
NAMES_OF_SECRETS = re.compile("key|token|secret|passw|sig|auth|credential", re.IGNORECASE)

_secrets: dict[str, re.Pattern[str]] = {}


def visible(text: str) -> str:
    r"""Return a text with control characters as escapes, such as \x1b; tabs and lines stay."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def printable(text: str) -> str:
    """Return a text as it may be printed or logged: visible and without secrets."""
    return visible(redacted(text))


def keep_secret(secret: str | None) -> None:
    """Have `redacted` leave out a key, however it is escaped."""
    if secret and secret.lower().startswith("bearer "):
        secret = secret[7:].strip()
    shortest = _SHORTEST_OF_LETTERS if secret and secret.isalpha() else _SHORTEST
    if secret and len(secret) >= shortest:
        _secrets[secret] = re.compile("".join(map(_in_any_form, secret)), re.IGNORECASE)


def keep_secrets_of(address: str) -> None:
    """Have `redacted` leave out the password and the keys in an address."""
    try:
        parts = urlsplit(address)
        password, query = parts.password, parse_qsl(parts.query)
    except ValueError:
        return
    keep_secret(unquote(password or ""))
    for name, value in query:
        if NAMES_OF_SECRETS.search(name):
            keep_secret(value)


def redacted(value: Value) -> Value:
    """Return a text, or the texts in lists and dicts, without the secrets that are known."""
    cleaned: Any = value
    if isinstance(value, str):
        for pattern in _secrets.values():
            cleaned = pattern.sub("[key]", cleaned)
    elif isinstance(value, dict):
        cleaned = {redacted(name): redacted(inner) for name, inner in value.items()}
    elif isinstance(value, list):
        cleaned = [redacted(inner) for inner in value]
    return cleaned


def _in_any_form(character: str) -> str:
    """Return a pattern of a character: as it is, or as URLs, JSON, Python and HTML escape it."""
    number = ord(character)
    forms = {
        re.escape(character),
        "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass")),
        rf"\\u{number:04x}",
        rf"&\#0*{number};",
        rf"&\#x0*{number:x};",
        re.escape(html.escape(character)),
        *([r"\+"] if character == " " else []),
        *([rf"\\+{re.escape(character)}"] if not character.isalnum() else []),
    }
    return f"(?:{'|'.join(sorted(forms))})"


class PrintableStream:
    """A text stream whose lines are `printable`; the rest is that of the stream inside it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(printable(text))

    def writelines(self, lines: Iterable[str]) -> None:
        self.stream.writelines(map(printable, lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

"""The cache of received replies, one JSON line each, so that no request is sent twice."""

import errno
import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from workflow.lib.data.stored import Stored, Whole
from workflow.lib.runtime.log import log

ROOM = 16_384  # bytes that are kept for a reply under way


@dataclass(frozen=True)
class Reply:
    """A judge's reply to one request.

    Args:
        text: what the judge wrote, unchanged.
        question_tokens, answer_tokens: length of request and reply, if the server counts them.
        seconds: time from request to reply.
        digest: digest of the model's weights, if the server has one.
        server: version of the server, or the exact model that it used.
        cut: whether the limit of tokens ended it; no score is read from it.
    """

    text: str
    question_tokens: int | None
    answer_tokens: int | None
    seconds: float
    digest: str | None
    server: str | None
    cut: bool = False


class _Line(Stored):
    """A line of the file, checked when it is read."""

    key: str
    reply: str
    question_tokens: Whole | None
    answer_tokens: Whole | None
    seconds: float = Field(ge=0)
    digest: str | None
    server: str | None
    cut: bool = False


class ReplyCache:
    """An append-only file of replies, each under the key of its request.

    A line is written in one step and is on the disk before the reply is used. A line that a killed
    job left unfinished at the end of the file is removed when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; it is created with the first reply.

        Args:
            path: JSON lines; its folder is made if missing.
        """
        self.path = path
        self._room = path.with_name(f".{path.name}.room")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()  # replies come from several threads
        self._replies: dict[str, Reply] = {}
        self._timeouts: Counter[str] = Counter()
        self._read()

    def get(self, key: str) -> Reply | None:
        """Return the reply to the request with this key, if it was received."""
        return self._replies.get(key)

    def timeouts(self, key: str) -> int:
        """Return how many times the request with this key timed out, in earlier runs too."""
        return self._timeouts[key]

    def last(self) -> Reply | None:
        """Return the last reply of the file."""
        return list(self._replies.values())[-1] if self._replies else None

    def forget_empty(self) -> None:
        """Leave out empty replies, which earlier versions kept, so that they are asked again."""
        whole = {key: r for key, r in self._replies.items() if r.text.strip() or r.cut}
        self._replies = whole

    def add(self, key: str, reply: Reply) -> None:
        """Append a reply to the file.

        Args:
            key: from `request_key`.
            reply: a complete one, never a failure.

        Raises:
            OSError: the disk is full; the file stays as it was.
        """
        fields = asdict(reply)
        if not reply.cut:
            del fields["cut"]
        self._append({"key": key, "reply": fields.pop("text"), **fields})
        self._replies[key] = reply

    def add_timeout(self, key: str) -> None:
        """Append that the request with this key timed out.

        Raises:
            OSError: the disk is full; the file stays as it was.
        """
        self._append({"key": key, "timed_out": True})
        self._timeouts[key] += 1

    @contextmanager
    def room(self, replies: int) -> Iterator[None]:
        """Keep room on the disk for replies under way, should it be full when they come.

        Raises:
            OSError: the disk is full already.
        """
        try:
            self._room.write_bytes(os.urandom(replies * ROOM))
            yield
        finally:
            self._room.unlink(missing_ok=True)

    def _append(self, record: Mapping[str, Any]) -> None:
        """Write a line in one step; if the disk is full, into the room that was kept."""
        data = f"{json.dumps(record, ensure_ascii=False)}\n".encode()
        with self._lock:
            try:
                self._write(data)
            except OSError:
                if self._room.exists():
                    self._room.unlink()
                    self._write(data)
                raise  # no more requests: there is no room for their replies

    def _write(self, data: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(file).st_size
            if os.write(file, data) < len(data):  # the next line would join this part
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(file)
        finally:
            os.close(file)

    def _read(self) -> None:
        """Read the file and remove an unfinished line at its end."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                record = json.loads(line)
                if record == {"key": str(record["key"]), "timed_out": True}:
                    self._timeouts[record["key"]] += 1
                    continue
                kept = _Line.model_validate(record)
                kept.reply.encode()  # half a surrogate pair could not be written to scores.csv
                fields = kept.model_dump(exclude={"key", "reply"})
                self._replies[kept.key] = Reply(text=kept.reply, **fields)
            except (ValueError, KeyError, TypeError, RecursionError):
                log.info("%s: line %d is damaged and left out", self.path, number)
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))


def request_key(
    backend: str, address: str, digest: str | None, request: Mapping[str, Any], repeat: int
) -> str:
    """Name a request by everything that its reply depends on, and by nothing else.

    Args:
        backend: name of the protocol.
        address: the server's, as config.yaml has it.
        digest: digest of the model's weights, if the server has one.
        request: what is sent: model, messages, options and format.
        repeat: number of the request with the same question, from 0.

    Returns:
        64 hexadecimal digits.
    """
    parts = [backend, address, digest, request, repeat]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

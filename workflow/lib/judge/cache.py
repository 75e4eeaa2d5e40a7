"""Answers already given, one JSON line each, so that no question is asked twice."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workflow.lib.runtime.log import log


@dataclass(frozen=True)
class Answer:
    """What a judge replied.

    Args:
        reply: its text, as it came.
        question_tokens, answer_tokens: as the server counted them, if it does.
        seconds: how long it took.
        digest: of the model's weights, where the server has one.
        server: what the server says of itself: Ollama's version, OpenAI's exact model.
    """

    reply: str
    question_tokens: int | None
    answer_tokens: int | None
    seconds: float
    digest: str | None
    server: str | None


class AnswerCache:
    """An append-only file of answers, each under the key of its question.

    A line is written in one step and is on the disk before the answer is used. What a killed job
    left unfinished at the end of the file is removed when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or begin it.

        Args:
            path: JSON lines; its folder is made if missing.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()  # answers come from several threads
        self._answers: dict[str, Answer] = {}
        self._read()

    def get(self, key: str) -> Answer | None:
        """The answer to the question with this key, if it was given."""
        return self._answers.get(key)

    def last(self) -> Answer | None:
        """The answer given last."""
        return list(self._answers.values())[-1] if self._answers else None

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer for good.

        Args:
            key: from `question_key`.
            answer: a complete one, never a failure.

        Raises:
            OSError: the disk is full; the file stays as it was.
        """
        line = json.dumps({"key": key, **asdict(answer)}, ensure_ascii=False)
        data = f"{line}\n".encode()
        with self._lock:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                size = os.fstat(file).st_size
                if os.write(file, data) < len(data):  # the next line would join what is there
                    os.ftruncate(file, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(file)
            finally:
                os.close(file)
            self._answers[key] = answer

    def _read(self) -> None:
        """Take in what the file holds and repair its end."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                record = json.loads(line)
                key = record.pop("key")
                self._answers[key] = Answer(**record)
            except (ValueError, KeyError, TypeError, AttributeError):
                log.info("%s: line %d is damaged and left out", self.path, number)
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))


def question_key(
    backend: str, url: str, digest: str | None, request: Mapping[str, Any], repeat: int
) -> str:
    """Names a question by all that changes its answer, and by nothing else.

    Args:
        backend: which protocol.
        url: address of the server.
        digest: of the model, where the server has one.
        request: what is sent: model, messages, options and format.
        repeat: which asking of the same question, from 0.

    Returns:
        64 hexadecimal digits.
    """
    parts = [backend, url, digest, request, repeat]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

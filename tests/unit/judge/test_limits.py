"""No server can make a judge wait or read for ever."""

import gzip
import importlib
import threading
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.support.judge_servers import (
    ENTRIES,
    Reply,
    judge_entries,
    judge_on,
    ollama_server,
    openai_server,
    running,
)
from workflow.lib.judge import limits
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TRANSPORT = Transport(first_timeout=0.5, retries=0)


@pytest.fixture(params=["ollama", "openai"])
def served(request):
    """Yield a server and a judge that asks it."""
    importlib.import_module(request.param)  # it can take longer than the tests allow for a reply
    with running(ollama_server() if request.param == "ollama" else openai_server()) as server:
        yield server, judge_on(server, request.param, TRANSPORT)


@pytest.mark.parametrize(
    ("head", "drop"),
    [(HEAD, b"X-More: yes\r\n"), (HEAD + b"\r\n", b" ")],
    ids=["headers", "spaces"],
)
def test_a_reply_that_drips_ends_at_the_timeout(served, tmp_path: Path, head, drop) -> None:
    """Counted in drops, as a busy machine slows the server as much as the judge."""
    server, judge = served
    drops = []

    def dripping():
        yield head
        for number in range(1000):
            drops.append(number)
            yield drop

    server.behave = lambda number, body: Reply(raw=dripping(), pause=0.1)
    with pytest.raises(UserError, match=r"no complete reply within 0\.5 s"):
        judge_entries(tmp_path, judge, ENTRIES[:1])
    assert len(drops) < 30  # of which 5 come in time


def test_a_reply_without_an_end_is_not_read_for_ever(served, tmp_path, monkeypatch) -> None:
    server, judge = served
    monkeypatch.setattr(limits, "MOST_BYTES", 1_000_000)
    sent = threading.Event()

    def endless():
        yield HEAD + b"\r\n"
        try:
            yield from repeat(b" " * 10_000)
        finally:
            sent.set()

    server.behave = lambda number, body: Reply(raw=endless())
    patient = judge.model_copy(update={"transport": Transport(retries=0)})
    with pytest.raises(UserError, match="a reply of more than 1000000 bytes"):
        judge_entries(tmp_path, patient, ENTRIES[:1])
    assert sent.wait(5)  # the connection was closed


def test_a_small_reply_cannot_unpack_to_a_large_one(served, tmp_path: Path) -> None:
    server, judge = served
    bomb = gzip.compress(b" " * 100_000_000)
    head = HEAD + b"Content-Encoding: gzip\r\n\r\n"
    server.behave = lambda number, body: Reply(raw=chain([head], [bomb]))
    patient = judge.model_copy(update={"transport": Transport(retries=0)})
    with pytest.raises(UserError, match="a reply of more than 64000 bytes"):
        judge_entries(tmp_path, patient, ENTRIES[:1])

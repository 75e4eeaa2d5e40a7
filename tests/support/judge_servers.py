"""Ollama and an OpenAI-compatible server on loopback, speaking their protocols over real sockets.

Each keeps what it was asked and answers as `behave` says, question by question.
"""

import csv
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from workflow.lib.judge.backends.ollama import Ollama
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.judge import Names, judge_responses
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.preflight import KNOWN_ENTRY, KNOWN_RESPONSES
from workflow.lib.settings.judges import JudgeSettings, ServerJudge, Transport

FAST = {"backoff": 0.01, "timeout": 5.0, "first_timeout": 5.0}  # the transport of a judge in tests
ENTRIES = [
    {"instruction": f"Count to {n}.", "input": "", "output": f"{n}", "model_response": f"No. {n}"}
    for n in range(1, 5)
]
NAMES: Names = {"model": "nano", "recipe": "book", "judge": "mine"}
LLAMA3_DIGEST = "365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1"


@dataclass(frozen=True)
class Reply:
    """How a server behaves towards one question.

    Args:
        text: the answer.
        pieces: the same as the model generated it; without it, one letter at a time.
        thinking: what a thinking model writes apart from its answer.
        status, error, headers: refuse with this HTTP status, reason and these headers.
        late_error: begin to answer under status 200, then report this failure in the stream.
        drop_after: bytes of the answer after which the connection breaks, without a goodbye.
        no_end: end the stream in good order, but before the answer is complete.
        delay: seconds before the first byte.
        pause: seconds between two pieces.
        done_reason: how the model came to its end.
        prompt_tokens: size of the question, as counted by the server.
        message: of an OpenAI-compatible server, instead of one with the text.
        raw: bytes to send instead of an HTTP response, with `pause` between two of them.
    """

    text: str = "85"
    pieces: tuple[str, ...] | None = None
    thinking: str = ""
    status: int = 200
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    late_error: str = ""
    drop_after: int | None = None
    no_end: bool = False
    delay: float = 0.0
    pause: float = 0.0
    done_reason: str = "stop"
    prompt_tokens: int = 50
    raw: Iterable[bytes] | None = None
    message: Any = "with the text"

    @property
    def generated(self) -> tuple[str, ...]:
        return tuple(self.text) if self.pieces is None else self.pieces


class JudgeServer(ThreadingHTTPServer):
    """What both servers share: the questions so far and how to behave towards the next."""

    daemon_threads = True

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        models: tuple[str, ...],
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__((host, port), handler)
        self.models = list(models)
        self.digest = LLAMA3_DIGEST
        self.pullable = {"llama3": "llama3:latest", "phi3": "phi3:latest"}
        self.key: str | None = None
        self.listing: Reply | None = None  # instead of its models
        self.completions = "/v1/chat/completions"
        self.behave: Callable[[int, dict[str, Any]], Reply] = lambda number, body: Reply()
        self.questions: list[dict[str, Any]] = []
        # How to behave towards the check's two questions, which are not among the others.
        self.behave_when_checked: Callable[[str, dict[str, Any]], Reply] = _know
        self.known_questions: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.most_at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def question(self, body: dict[str, Any]) -> Iterator[Reply]:
        """Take down a question and how to behave towards it."""
        content = body["messages"][0]["content"]
        if KNOWN_ENTRY["instruction"] in content:
            self.known_questions.append(body)
            kind = _known_kind(content)
            yield self.behave_when_checked(kind, body)
            return
        with self._lock:
            number = len(self.questions)
            self.questions.append(body)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            reply = self.behave(number, body)
            time.sleep(reply.delay)
            yield reply
        finally:
            with self._lock:
                self._under_way -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave early are part of the tests."""


def _known_kind(content: str) -> str:
    """Return which of the check's questions this is: by its response, or by its first one."""
    wrong, right = (f"`{KNOWN_RESPONSES[kind]}`" for kind in ("wrong", "right"))
    if "Response A: `" in content or "응답 A: `" in content:
        return "wrong first" if content.index(wrong) < content.rindex(right) else "right first"
    return "wrong" if wrong in content else "right"


def _know(kind: str, body: dict[str, Any]) -> Reply:
    """Return the best score for the right answer and the worst for the wrong one."""
    if kind in ("right first", "wrong first"):
        return Reply("A" if kind == "right first" else "B")
    best, worst = (5, 1) if "1 to 5" in body["messages"][0]["content"] else (100, 0)
    return Reply(json.dumps({"score": best if kind == "right" else worst}))


def judge_on(server: JudgeServer, backend: str, transport: Transport, **others: Any) -> ServerJudge:
    """Return a judge of this backend, `ollama` or `openai`, that asks this server."""
    if backend == "ollama":
        others = {"model": "llama3", "url": server.address, **others}
        return Ollama(backend="ollama", transport=transport, **others)
    others = {"model": "gpt-4", "base_url": f"{server.address}/v1", "api_key_env": None, **others}
    return OpenAI(backend="openai", transport=transport, **others)


def judge_entries(
    folder: Path, judge: JudgeSettings, entries: Sequence[dict[str, str]] = ENTRIES
) -> list[dict[str, str]]:
    """Judge entries as the rule does, with all its files in one folder; the rows of the table."""
    (folder / "responses.json").write_text(json.dumps(entries), "utf-8")
    judge_responses(
        folder / "responses.json",
        judge,
        NAMES,
        folder / "scores.csv",
        folder / "answers.jsonl",
        folder / "usage.json",
    )
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compare_entries(
    folder: Path,
    judge: JudgeSettings,
    entries: Sequence[dict[str, str]] = ENTRIES,
    others: Sequence[str] | None = None,
) -> list[dict[str, str]]:
    """Compare the responses to entries as the rule does; the rows of the table.

    Args:
        others: responses of the baseline; None for the reference answers.
    """
    (folder / "responses.json").write_text(json.dumps(entries), "utf-8")
    baseline = folder / "baseline.json" if others is not None else None
    if baseline and others:
        pairs = zip(entries, others, strict=True)
        content = [{**entry, "model_response": other} for entry, other in pairs]
        baseline.write_text(json.dumps(content), "utf-8")
    judge_pairs(
        folder / "responses.json",
        baseline,
        judge,
        NAMES,
        "nano/other" if baseline else "reference",
        folder / "wins.csv",
        folder / "answers.jsonl",
        folder / "usage.json",
    )
    with (folder / "wins.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def in_turn(*replies: Reply) -> Callable[[int, dict[str, Any]], Reply]:
    """Behave so towards one question after the other, then answer."""
    return lambda number, body: replies[number] if number < len(replies) else Reply()


@contextmanager
def running(server: JudgeServer) -> Iterator[JudgeServer]:
    """Serve until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ollama_server(*models: str, port: int = 0, host: str = "127.0.0.1") -> JudgeServer:
    """Return a server of these models; llama3:latest if none is given.

    Args:
        port: where to listen; 0 for any free one.
        host: the address to listen on.
    """
    return JudgeServer(_OllamaHandler, models or ("llama3:latest",), port, host)


def openai_server(*models: str, key: str | None = None) -> JudgeServer:
    """Return a server of these models; gpt-4 if none is given.

    Args:
        key: the one that it accepts; without it, any or none.
    """
    server = JudgeServer(_OpenAIHandler, models or ("gpt-4",))
    server.key = key
    return server


class _Handler(BaseHTTPRequestHandler):
    """HTTP as both servers need it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")

    def note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers))

    def send_json(
        self, content: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_chunks(self, lines: Iterator[str], drop_after: int | None, size: int = 7) -> None:
        """Send a stream cut at odd places: in the middle of lines, numbers and letters."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        for line in lines:
            data = f"{line}\n".encode()
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                if drop_after is not None and sent + len(piece) > drop_after:
                    self.drop()
                    return
                sent += len(piece)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def send_raw(self, parts: Iterable[bytes], pause: float) -> None:
        for part in parts:
            self.wfile.write(part)
            time.sleep(pause)
        self.close_connection = True

    def drop(self) -> None:
        """Break the connection as a crashed server does: a reset instead of an end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class _OllamaHandler(_Handler):
    """Ollama's own protocol."""

    def do_GET(self) -> None:
        self.note()
        if self.path == "/":
            self.send_json("Ollama is running")
        elif self.path == "/api/version":
            self.send_json({"version": "0.6.5"})
        elif self.path == "/api/tags" and self.server.listing is not None:
            self.send_raw(self.server.listing.raw, 0)
        elif self.path == "/api/tags":
            self.send_json(
                {"models": [_listing(model, self.server.digest) for model in self.server.models]}
            )
        else:
            self.send_json({"error": "page not found"}, 404)

    def do_POST(self) -> None:
        self.note()
        body = self.body()
        if self.path == "/api/pull":
            self.send_chunks(self.pull(body), None)
            return
        name = body["model"]
        name = name if name in self.server.models or ":" in name else f"{name}:latest"
        if name not in self.server.models:
            self.send_json({"error": f"model '{body['model']}' not found"}, 404)
        elif self.path == "/api/show":
            self.send_json(
                {
                    "details": _listing(name, self.server.digest)["details"],
                    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
                    "capabilities": ["completion", *(["thinking"] if "qwen3" in name else [])],
                    "modified_at": "2024-05-20T10:00:00Z",
                }
            )
        elif self.path == "/api/chat":
            with self.server.question(body) as reply:
                if reply.raw is not None:
                    self.send_raw(reply.raw, reply.pause)
                elif reply.status != 200:
                    self.send_json({"error": reply.error}, reply.status, reply.headers)
                else:
                    self.send_chunks(_chat(name, reply), reply.drop_after)
        else:
            self.send_json({"error": "page not found"}, 404)

    def pull(self, body: dict[str, Any]) -> Iterator[str]:
        yield json.dumps({"status": "pulling manifest"})
        if body["model"] not in self.server.pullable:
            yield json.dumps({"error": "pull model manifest: file does not exist"})
            return
        layer = {"status": "pulling 6a0746a1ec1a", "digest": "sha256:6a0746a1ec1a", "total": 4000}
        for completed in (0, 1500, 4000):
            yield json.dumps({**layer, "completed": completed})
        for status in ("verifying sha256 digest", "writing manifest", "success"):
            yield json.dumps({"status": status})
        self.server.models.append(self.server.pullable[body["model"]])


def _listing(model: str, digest: str) -> dict[str, Any]:
    """Describe a model as /api/tags does."""
    return {
        "name": model,
        "model": model,
        "modified_at": "2024-05-20T10:00:00.123456789+02:00",
        "size": 4661224676,
        "digest": digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "8.0B",
            "quantization_level": "Q4_0",
        },
    }


def _chat(model: str, reply: Reply) -> Iterator[str]:
    """Yield the lines of a streamed answer; without escapes, so that letters take several bytes."""

    def line(message: dict[str, Any], **rest: Any) -> str:
        head = {"model": model, "created_at": "2024-05-20T10:00:00.5Z"}
        content = {**head, "message": {"role": "assistant", **message}, **rest}
        return json.dumps(content, ensure_ascii=False)

    for thought in reply.thinking:
        yield line({"content": "", "thinking": thought}, done=False)
    for piece in reply.generated:
        yield line({"content": piece}, done=False)
        time.sleep(reply.pause)
    if reply.late_error:
        yield json.dumps({"error": reply.late_error})
    elif not reply.no_end:
        yield line(
            {"content": ""},
            done=True,
            done_reason=reply.done_reason,
            total_duration=5_000_000,
            load_duration=1_000_000,
            prompt_eval_count=reply.prompt_tokens,
            prompt_eval_duration=2_000_000,
            eval_count=len(reply.generated),
            eval_duration=2_000_000,
        )


class _OpenAIHandler(_Handler):
    """The part of OpenAI's protocol that is asked without streaming."""

    def do_GET(self) -> None:
        self.note()
        if self.refused():
            return
        if self.server.listing is not None:
            self.send_raw(self.server.listing.raw, 0)
        elif self.path == "/v1/models" and self.server.models != ["unlisted"]:
            models = [
                {"id": model, "object": "model", "created": 1687882411, "owned_by": "openai"}
                for model in self.server.models
            ]
            self.send_json({"object": "list", "data": models})
        else:
            self.send_json({"error": {"message": "Not found", "type": "not_found"}}, 404)

    def do_POST(self) -> None:
        self.note()
        body = self.body()
        if self.refused():
            return
        if self.path != self.server.completions:
            self.send_json({"error": {"message": "Not found", "type": "not_found"}}, 404)
            return
        with self.server.question(body) as reply:
            if reply.raw is not None:
                self.send_raw(reply.raw, reply.pause)
            elif reply.drop_after is not None:
                self.drop()
            elif reply.status != 200:
                error = {"message": reply.error, "type": "error", "param": None, "code": None}
                self.send_json({"error": error}, reply.status, reply.headers)
            else:
                self.send_json(_completion(body["model"], reply))

    def refused(self) -> bool:
        sent = self.headers.get("authorization", "").removeprefix("Bearer ")
        if self.server.key is None or sent == self.server.key:
            return False
        message = f"Incorrect API key provided: {sent}."
        error = {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}
        self.send_json({"error": {**error, "param": None}}, 401)
        return True


def _completion(model: str, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.message != "with the text":
        message = reply.message
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1716199200,
        "model": model,
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": reply.done_reason,
            }
        ],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": len(reply.generated),
            "total_tokens": reply.prompt_tokens + len(reply.generated),
        },
    }

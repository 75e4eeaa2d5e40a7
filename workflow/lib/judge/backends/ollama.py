"""Judges on an Ollama server, near or far (listings 7.10 and 7.11), through its own client."""

import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
import ollama
from tqdm import tqdm

from workflow.lib.judge.backends.base import Backend, NoAnswerError, refusal
from workflow.lib.judge.cache import Answer
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import Ollama

_CONNECT_TIMEOUT = 10.0  # seconds; a server that is there accepts at once, even while it loads


class OllamaBackend(Backend):
    """Asks a model of an Ollama server; see `asking.Backend`."""

    def __init__(self, judge: Ollama, prompt: JudgePrompt) -> None:
        super().__init__(judge, prompt)
        self._clients: dict[float, ollama.Client] = {}
        self._lock = Lock()  # questions come from several threads
        self._digest: str | None = None
        self._version: str | None = None
        self._context = _whole_number(judge.options.get("num_ctx"))

    def preflight(self) -> dict[str, Any]:
        """Server reachable, model there (downloaded if `pull` is set); see `asking.Backend`."""
        client = self._client(_CONNECT_TIMEOUT)
        model = self._find(client)
        if model is None and self.judge.pull:
            self._pull()
            model = self._find(client)
        if model is None:
            raise UserError(self._how_to_get(client))
        with self._failures(_CONNECT_TIMEOUT):
            shown = client.show(self.judge.model)
            address = f"{self.judge.url.rstrip('/')}/api/version"  # the client cannot ask for it
            version = httpx.get(address, timeout=_CONNECT_TIMEOUT, verify=_certificates())
            self._version = version.json().get("version") if version.is_success else None
        self._digest = model.digest
        for key, value in (shown.modelinfo or {}).items():
            if key.endswith(".context_length"):  # a larger num_ctx is silently lowered to it
                self._context = min(value, self._context or value)
        if self.judge.think and "thinking" not in (shown.capabilities or []):
            raise UserError(f"{self.judge.model} is not a thinking model; leave out `think`")
        return {
            "backend": "ollama",
            "url": self.judge.url,
            "server_version": self._version,
            "model": model.model,
            "digest": self._digest,
            "parameters": shown.details.parameter_size if shown.details else None,
            "quantization": shown.details.quantization_level if shown.details else None,
        }

    def request(self, question: str, repeat: int) -> dict[str, Any]:
        """The arguments of the client's chat; see `asking.Backend`."""
        return {**super().request(question, repeat), "think": self.judge.think}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _ask_once(self, request: Mapping[str, Any], timeout: float) -> Answer:
        parts = self._client(timeout).chat(**request, stream=True)
        started = time.monotonic()
        reply, thoughts, last = "", "", None
        with self._failures(timeout), closing(parts):
            for last in parts:
                reply += last.message.content or ""
                thoughts += last.message.thinking or ""
                # The client's own timeout is for a single part: a trickle would go on for ever.
                if time.monotonic() - started > timeout:
                    raise NoAnswerError(f"no whole answer within {timeout:g} s", again=True)
        if last is None or not last.done:
            raise NoAnswerError("the connection ended in the middle of an answer", again=True)
        if flaw := self._flaw(last, reply, thoughts):
            raise NoAnswerError(flaw)
        return Answer(
            reply=reply.encode("utf-8", "replace").decode("utf-8"),
            question_tokens=last.prompt_eval_count,
            answer_tokens=last.eval_count,
            seconds=round(time.monotonic() - started, 3),
            digest=self._digest,
            server=self._version,
        )

    def _flaw(self, last: ollama.ChatResponse, reply: str, thoughts: str) -> str | None:
        """Why an answer that came in full is none, or None. To ask again would not help."""
        asked, answered = last.prompt_eval_count or 0, last.eval_count or 0
        # The server cuts a longer question down to the context and says nothing.
        if self._context and asked >= self._context:
            return (
                f"the question does not fit into {self._context} tokens; raise options.num_ctx, as "
                "far as the model goes"
            )
        if last.done_reason == "length":
            return (
                f"the answer was cut off after {asked} + {answered} tokens; raise options.num_ctx "
                "or options.num_predict"
            )
        if thoughts and not reply.strip():
            return "the model thought but gave no answer; set `think: false`"
        return None

    def _find(self, client: ollama.Client) -> ollama.ListResponse.Model | None:
        """The model as the server lists it; `llama3` is short for `llama3:latest`."""
        wanted = self.judge.model
        if ":" not in wanted.rpartition("/")[2]:
            wanted += ":latest"
        return next((m for m in self._list(client) if m.model == wanted), None)

    def _list(self, client: ollama.Client) -> list[ollama.ListResponse.Model]:
        try:
            with self._failures(_CONNECT_TIMEOUT):
                return list(client.list().models)
        except NoAnswerError as failure:
            if failure.status is not None:
                raise
            where = "" if self._is_local() else " there, or correct the judge's url"
            raise NoAnswerError(
                f"no Ollama server answers at {self.judge.url} ({failure}); "
                f"start it with `ollama serve`{where}",
                hopeless=True,
            ) from failure

    def _how_to_get(self, client: ollama.Client) -> str:
        there = ", ".join(sorted(m.model or "" for m in self._list(client))[:8]) or "none"
        host = "" if self._is_local() else f"OLLAMA_HOST={self.judge.url} "
        return (
            f"the server at {self.judge.url} has no model {self.judge.model!r}; get it with "
            f"`{host}ollama pull {self.judge.model}`, or set `pull: true`; it has: {there}"
        )

    def _is_local(self) -> bool:
        return urlsplit(self.judge.url).hostname in ("localhost", "127.0.0.1", "::1")

    def _pull(self) -> None:
        """Let the server download the model; a bar on a terminal, else a line a step."""
        log.info("%s: downloading to %s", self.judge.model, self.judge.url)
        timeout, status, bar = self.judge.transport.first_timeout, None, None
        try:
            with (
                self._failures(timeout),
                closing(self._client(timeout).pull(self.judge.model, stream=True)) as steps,
            ):
                for step in steps:
                    if step.status != status:
                        status = step.status
                        log.info("  %s", status)
                        if bar is not None:
                            bar.close()
                        bar = tqdm(
                            desc=status,
                            unit="B",
                            unit_scale=True,
                            disable=not sys.stderr.isatty() or not step.total,
                            leave=False,
                        )
                    if step.total:
                        bar.total = step.total
                        bar.update((step.completed or 0) - bar.n)
        except NoAnswerError as failure:
            raise UserError(f"{self.judge.model} could not be downloaded: {failure}") from failure
        finally:
            if bar is not None:
                bar.close()
        if status != "success":
            raise UserError(f"{self.judge.model} could not be downloaded: it ended at {status!r}")

    def _client(self, timeout: float) -> ollama.Client:
        with self._lock:
            if timeout not in self._clients:
                self._clients[timeout] = ollama.Client(
                    self.judge.url,
                    timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT)),
                    event_hooks={"response": [_refuse]},
                    verify=_certificates(),
                )
            return self._clients[timeout]

    @contextmanager
    def _failures(self, timeout: float) -> Iterator[None]:
        """Whatever can go wrong between here and an answer, as NoAnswerError."""
        try:
            yield
        except ollama.ResponseError as error:  # under status 200, in the middle of the stream
            raise NoAnswerError(f"the server broke off: {error.error}", again=True) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise NoAnswerError(
                f"{self.judge.url} cannot be reached", again=True, hopeless=True
            ) from error
        except httpx.TimeoutException as error:
            raise NoAnswerError(f"no answer within {timeout:g} s", again=True) from error
        except httpx.TransportError as error:
            raise NoAnswerError(f"the connection was dropped: {error}", again=True) from error
        except (ValueError, AttributeError) as error:  # half a line, or no JSON at all
            raise NoAnswerError(
                f"{self.judge.url} does not speak as Ollama does: {' '.join(str(error).split())}",
                again=True,
            ) from error


@cache
def _certificates() -> ssl.SSLContext:
    """Read once, because it takes longer than most answers of a small judge."""
    return httpx.create_ssl_context()


def _whole_number(option: object) -> int | None:
    return option if isinstance(option, int) else None


def _refuse(response: httpx.Response) -> None:
    """Take the reason and Retry-After of an error status, which the client would drop."""
    if response.is_error:
        response.read()
        try:
            text = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            text = response.text
        raise refusal(response.status_code, text, response.headers.get("retry-after"))

"""Judges on an Ollama server, local or remote (listings 7.10 and 7.11), through its own client."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.limits import limit_size, within
from workflow.lib.judge.no_reply import NoReplyError, refusal
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.judge.tokens_read import does_not_fit, refused_for_length, was_cut
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import Address, ServerJudge, refuse_endings

if TYPE_CHECKING:  # the client takes about a second to import, and reading config.yaml needs none
    import ssl

    import httpx
    import ollama

_CONNECT_TIMEOUT = 10.0  # seconds; a running server accepts at once, even while it loads


class Ollama(ServerJudge):
    """A model of an Ollama server (listings 7.10 and 7.11)."""

    backend: Literal["ollama"]
    model: str = Field(min_length=1, description="as `ollama list` names it")
    url: Address = Field(
        "http://localhost:11434", description="address, or file: and the path of a file with it"
    )
    options: dict[str, bool | int | float | str | list[str]] = Field(
        {"seed": 123, "temperature": 0, "num_ctx": 2048}, description="options of the model"
    )
    think: bool | None = Field(
        None, description="whether a thinking model thinks; null: as the model does by default"
    )
    pull: bool = Field(False, description="let the server download the model if it lacks it")

    changes_no_score = ServerJudge.changes_no_score | {"pull"}

    @field_validator("options")
    @classmethod
    def keep_default_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults: without num_ctx the server cuts long questions silently."""
        return {**cls.model_fields["options"].default, **options}

    @field_validator("url")
    @classmethod
    def is_of_the_server(cls, url: str) -> str:
        """Refuse the chapter's http://localhost:11434/api/chat, and the address of another API."""
        endings = ("/api/chat", "/api/generate", "/v1/chat/completions", "/api", "/v1")
        return refuse_endings(url, endings)

    @property
    def address(self) -> str:
        """Address of the server, or `file:` and the path of a file that holds it."""
        return self.url


class OllamaBackend(ServerBackend[Ollama]):
    """Sends questions to a model of an Ollama server."""

    token_limits = ("num_predict",)

    def __init__(self, settings: Ollama, prompt: JudgePrompt, address: str) -> None:
        super().__init__(settings, prompt, address)
        self._clients: dict[float, ollama.Client] = {}
        self._lock = Lock()  # requests come from several threads
        self._digest: str | None = None
        self._version: str | None = None
        context = settings.options.get("num_ctx")
        self._context = context if isinstance(context, int) else None

    def preflight(self) -> dict[str, Any]:
        """Make sure that the server has the model, which it downloads if `pull` is set."""
        client = self._client(_CONNECT_TIMEOUT)
        model = self._find(client)
        if model is None and self.settings.pull:
            self._pull()
            model = self._find(client)
        if model is None:
            raise UserError(self._how_to_get(client))
        shown, self._version = within(2 * _CONNECT_TIMEOUT, lambda: self._show(client))
        self._digest = model.digest
        for key, value in (shown.modelinfo or {}).items():
            if key.endswith(".context_length"):  # the server silently lowers a larger num_ctx to it
                self._context = min(value, self._context or value)
        if self.settings.think and "thinking" not in (shown.capabilities or []):
            raise UserError(f"{self.settings.model} is not a thinking model; leave out `think`")
        return {
            "server_version": self._version,
            "model": model.model,
            "digest": self._digest,
            "parameters": shown.details.parameter_size if shown.details else None,
            "quantization": shown.details.quantization_level if shown.details else None,
        }

    def _show(self, client: "ollama.Client") -> "tuple[ollama.ShowResponse, str | None]":
        """Return what the server says about the model, and the server's version."""
        import httpx

        with self._failures(_CONNECT_TIMEOUT):
            shown = client.show(self.settings.model)
            address = f"{self.address.rstrip('/')}/api/version"  # the client has no call for it
            version = httpx.get(address, timeout=_CONNECT_TIMEOUT, verify=_certificates())
            return shown, version.json().get("version") if version.is_success else None

    def request(self, question: str, repeat: int) -> dict[str, Any]:
        """Return the arguments of the client's chat."""
        return {**super().request(question, repeat), "think": self.settings.think}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def ask(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Send a request and join the parts of the streamed reply."""
        import ollama

        # chat() lacks `truncate`: with false, newer servers refuse a question that does not fit.
        body = {name: value for name, value in request.items() if value is not None}
        body |= {"stream": True, "truncate": False}
        stream = self._client(timeout)._request(
            ollama.ChatResponse, "POST", "/api/chat", json=body, stream=True
        )
        parts = cast("Generator[ollama.ChatResponse]", stream)
        started = time.monotonic()
        text, thoughts, last = "", "", None
        with self._failures(timeout), closing(parts):
            for last in parts:
                text += last.message.content or ""
                thoughts += last.message.thinking or ""
                # The client's own timeout is for a single part: a trickle would go on for ever.
                if time.monotonic() - started > timeout:
                    raise NoReplyError(
                        f"no complete reply within {timeout:g} s", again=True, timed_out=True
                    )
        if last is None or not last.done:
            raise NoReplyError("the connection ended in the middle of a reply", again=True)
        if flaw := self._flaw(request["messages"][0]["content"], last, text, thoughts):
            raise NoReplyError(flaw)
        cut = last.done_reason == "length"
        if not text.strip() and not cut:
            raise NoReplyError("an empty reply", again=True)
        return Reply(
            text=text.encode("utf-8", "replace").decode("utf-8"),
            question_tokens=last.prompt_eval_count,
            answer_tokens=last.eval_count,
            seconds=round(time.monotonic() - started, 3),
            digest=self._digest,
            server=self._version,
            cut=cut,
        )

    def _flaw(
        self, question: str, last: "ollama.ChatResponse", text: str, thoughts: str
    ) -> str | None:
        """Return why a complete reply cannot be used, if so. Another request would not help."""
        sent = last.prompt_eval_count
        if self._context and sent and was_cut(question, sent, self._context):
            return f"{does_not_fit(self._context)} (the server read {sent} tokens of it)"
        if thoughts and not text.strip() and last.done_reason != "length":
            return "the model thought but gave no answer; set `think: false`"
        return None

    def _find(self, client: "ollama.Client") -> "ollama.ListResponse.Model | None":
        """Return the model as the server lists it; `llama3` is short for `llama3:latest`."""
        wanted = self.settings.model
        if ":" not in wanted.rpartition("/")[2]:
            wanted += ":latest"
        return next((m for m in self._list(client) if m.model == wanted), None)

    def _list(self, client: "ollama.Client") -> "list[ollama.ListResponse.Model]":
        def ask() -> "list[ollama.ListResponse.Model]":
            with self._failures(_CONNECT_TIMEOUT):
                return list(client.list().models)

        try:
            return within(_CONNECT_TIMEOUT, ask)
        except NoReplyError as failure:
            if failure.status is not None:
                raise
            where = "" if self._is_local() else " there, or correct the judge's url"
            raise NoReplyError(
                f"no Ollama server answers at {self.address} ({failure}); "
                f"start it with `ollama serve`{where}",
                hopeless=True,
            ) from failure

    def _how_to_get(self, client: "ollama.Client") -> str:
        names = sorted(m.model or "" for m in self._list(client))
        wanted = self.settings.model.lower()
        if same := [n for n in names if n.lower().removesuffix(":latest") == wanted]:
            return f"the server at {self.address} has no {self.settings.model!r}, but {same[0]!r}"
        there = ", ".join(names[:8]) or "none"
        host = "" if self._is_local() else f"OLLAMA_HOST={self.address} "
        return (
            f"the server at {self.address} has no model {self.settings.model!r}; get it with "
            f"`{host}ollama pull {self.settings.model}`, or set `pull: true`; it has: {there}"
        )

    def _is_local(self) -> bool:
        return urlsplit(self.address).hostname in ("localhost", "127.0.0.1", "::1")

    def _pull(self) -> None:
        """Let the server download the model, with a bar on a terminal, else a line per step."""
        from tqdm import tqdm

        model, timeout = self.settings.model, self.settings.transport.first_timeout
        log.info("%s: downloading to %s", model, self.address)
        steps = cast(
            "Generator[ollama.ProgressResponse]", self._client(timeout).pull(model, stream=True)
        )
        status: str | None = None
        bar: tqdm[NoReturn] = tqdm(unit="B", unit_scale=True, disable=None, leave=False)
        try:
            with bar, self._failures(timeout), closing(steps):
                for step in steps:
                    if step.status != status:
                        status = step.status
                        log.info("  %s", status)
                        bar.set_description(status)
                        bar.reset(step.total)
                    bar.total = step.total
                    bar.update((step.completed or 0) - bar.n)
        except NoReplyError as failure:
            raise UserError(f"{model} could not be downloaded: {failure}") from failure
        if status != "success":
            raise UserError(f"{model} could not be downloaded: the last status was {status!r}")

    def _client(self, timeout: float) -> "ollama.Client":
        import httpx
        import ollama

        with self._lock:
            if timeout not in self._clients:
                self._clients[timeout] = ollama.Client(
                    self.address,
                    timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT)),
                    event_hooks={"response": [limit_size, _refuse]},
                    verify=_certificates(),
                )
            return self._clients[timeout]

    @contextmanager
    def _failures(self, timeout: float) -> Iterator[None]:
        """Turn whatever can go wrong between request and reply into NoReplyError."""
        import httpx
        import ollama

        try:
            yield
        except ollama.ResponseError as error:  # under status 200, in the middle of the stream
            raise NoReplyError(f"the server broke off: {error.error}", again=True) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise NoReplyError(
                f"{self.address} cannot be reached", again=True, hopeless=True
            ) from error
        except httpx.TimeoutException as error:
            raise NoReplyError(
                f"no reply within {timeout:g} s", again=True, timed_out=True
            ) from error
        except httpx.TransportError as error:
            raise NoReplyError(f"the connection was dropped: {error}", again=True) from error
        except (ValueError, AttributeError) as error:  # half a line, or no JSON at all
            raise NoReplyError(
                f"{self.address} does not speak Ollama's protocol: {' '.join(str(error).split())}",
                again=True,
            ) from error


@cache
def _certificates() -> "ssl.SSLContext":
    """Read the certificates once: it takes longer than most replies of a small judge."""
    import httpx

    return httpx.create_ssl_context()


def _refuse(response: "httpx.Response") -> None:
    """Raise an error status with its reason and Retry-After, which the client would drop."""
    if response.is_error:
        response.read()
        try:
            text = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            text = response.text
        if response.status_code == 400 and (reason := refused_for_length(text)):
            raise NoReplyError(reason)
        raise refusal(response.status_code, text, response.headers.get("retry-after"))

"""An Ollama server through its own client: what it has, what it is asked, how that can fail."""

import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

from workflow.lib.judge.limits import limit_size, within
from workflow.lib.judge.no_reply import NoReplyError, refusal
from workflow.lib.judge.tokens_read import refused_for_length
from workflow.lib.runtime.connection import (
    client_options,
    is_loopback,
    plain_environment,
    read_key,
    tls_problem,
)
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log

if TYPE_CHECKING:  # the client takes about a second to import, and reading config.yaml needs none
    import httpx
    import ollama

_OTHER_API = {404, 405, 501}  # of a server that has no such call
_CONNECT_TIMEOUT = 10.0  # seconds; a running server accepts at once, even while it loads


class OllamaServer:
    """The connections to one server.

    Args:
        address: of the server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._options = client_options(address)
        if key := read_key("OLLAMA_API_KEY"):
            self._options["headers"] = {"authorization": f"Bearer {key}"}
        _import_client()
        self._clients: dict[float, ollama.Client] = {}
        self._lock = Lock()  # requests come from several threads

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def chat(self, body: Mapping[str, Any], timeout: float) -> "Generator[ollama.ChatResponse]":
        """Yield the parts of the streamed reply to a request.

        Args:
            body: of the request, without those of its fields that say how to send it.
            timeout: seconds that all of it may take.

        Raises:
            NoReplyError: there is no reply, or only part of one.
        """
        import ollama

        # chat() lacks `truncate`: with false, newer servers refuse a question that does not fit.
        body = {**body, "stream": True, "truncate": False}
        stream = self._client(timeout)._request(
            ollama.ChatResponse, "POST", "/api/chat", json=body, stream=True
        )
        parts = cast("Generator[ollama.ChatResponse]", stream)
        started = time.monotonic()
        with self._failures(timeout), closing(parts):
            for part in parts:
                yield part
                # The client's own timeout is for a single part: a trickle would go on for ever.
                if time.monotonic() - started > timeout:
                    raise NoReplyError(
                        f"no complete reply within {timeout:g} s", again=True, timed_out=True
                    )

    def show(self, model: str) -> "tuple[ollama.ShowResponse, str | None]":
        """Return what the server says about a model, and the server's version."""

        def ask() -> "tuple[ollama.ShowResponse, str | None]":
            client = self._client(_CONNECT_TIMEOUT)
            with self._failures(_CONNECT_TIMEOUT):
                shown = client.show(model)
                try:  # the client has no call for it
                    version = client._request_raw("GET", "/api/version").json()
                except NoReplyError:
                    return shown, None
                return shown, version.get("version")

        return within(2 * _CONNECT_TIMEOUT, ask)

    def find(self, model: str) -> "ollama.ListResponse.Model | None":
        """Return a model as the server lists it; `llama3` is short for `llama3:latest`."""
        listed = {listed.model: listed for listed in self._list()}
        return listed.get(model) or listed.get(f"{model}:latest")

    def _list(self) -> "list[ollama.ListResponse.Model]":
        def ask() -> "list[ollama.ListResponse.Model]":
            with self._failures(_CONNECT_TIMEOUT):
                return list(self._client(_CONNECT_TIMEOUT).list().models)

        try:
            return within(_CONNECT_TIMEOUT, ask)
        except NoReplyError as failure:
            if failure.status in _OTHER_API or failure.other_protocol:
                raise UserError(
                    f"{failure}; {self.address} is no Ollama server (asked {self.address}/api/tags)"
                    "; if it is another server of language models, such as llama.cpp, vLLM or LM "
                    f"Studio, set `backend: openai` and `base_url: {self.address}/v1`"
                ) from failure
            if failure.status is not None:
                raise
            where = "" if is_loopback(self.address) else " there, or correct the judge's url"
            raise NoReplyError(
                f"no Ollama server answers at {self.address} ({failure}); "
                f"start it with `ollama serve`{where}",
                hopeless=True,
            ) from failure

    def how_to_get(self, model: str) -> str:
        """Return the message for a model that the server lacks."""
        names = sorted(m.model or "" for m in self._list())
        if same := [n for n in names if n.lower().removesuffix(":latest") == model.lower()]:
            return f"the server at {self.address} has no {model!r}, but {same[0]!r}"
        there = ", ".join(names[:8]) or "none"
        host = "" if is_loopback(self.address) else f"OLLAMA_HOST={self.address} "
        return (
            f"the server at {self.address} has no model {model!r}; get it with "
            f"`{host}ollama pull {model}`, or set `pull: true`; it has: {there}"
        )

    def pull(self, model: str, timeout: float) -> None:
        """Let the server download a model, with a bar on a terminal, else a line per step.

        Args:
            model: its name.
            timeout: seconds between two signs of progress.

        Raises:
            UserError: the download failed.
        """
        from tqdm import tqdm

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
                    **self._options,
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
            reason = tls_problem(self.address, error)
            raise NoReplyError(
                reason or f"{self.address} cannot be reached", again=not reason, hopeless=True
            ) from error
        except httpx.TimeoutException as error:
            raise NoReplyError(
                f"no reply within {timeout:g} s", again=True, timed_out=True
            ) from error
        except httpx.TransportError as error:
            raise NoReplyError(f"the connection was dropped: {error}", again=True) from error
        except (ValueError, AttributeError, TypeError) as error:  # half a line, or no JSON at all
            raise NoReplyError(
                f"{self.address} does not speak Ollama's protocol: {' '.join(str(error).split())}",
                again=True,
                other_protocol=True,
            ) from error


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


def _import_client() -> None:
    """Import the client, which opens a connection to $OLLAMA_HOST at once; here `url` counts."""
    host = os.environ.get("OLLAMA_HOST", "")
    try:
        _ = urlsplit(host if "://" in host else f"http://{host}").port
    except ValueError as error:
        log.warning(
            "the environment variable OLLAMA_HOST is %r, which is no address (%s); it is not used, "
            "the judge's url is",
            host,
            error,
        )
    with plain_environment("OLLAMA_HOST", "OLLAMA_API_KEY"):
        import ollama  # noqa: F401

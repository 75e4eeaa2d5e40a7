"""Judges on OpenAI-compatible servers, through OpenAI's own client."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import Field, field_validator

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.limits import limit_size, within
from workflow.lib.judge.no_reply import NoReplyError, refusal
from workflow.lib.judge.prompt import BasePrompt
from workflow.lib.runtime.connection import client_options, read_key, tls_problem
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.runtime.names import suggest
from workflow.lib.settings.addresses import Address, refuse_endings
from workflow.lib.settings.judges import ServerJudge

if TYPE_CHECKING:  # the client takes about a second to import, and reading config.yaml needs none
    import openai

_LISTING_TIMEOUT = 30.0  # seconds
_NO_SUCH_CALL = {404, 405, 501}


class OpenAI(ServerJudge):
    """A model of an OpenAI-compatible server: OpenAI's own, vLLM, llama.cpp and others."""

    backend: Literal["openai"]
    base_url: Address = Field(
        "https://api.openai.com/v1",
        description="address up to /v1, or file: and the path of a file that holds it",
    )
    api_key_env: str | None = Field(
        "OPENAI_API_KEY", description="environment variable with the key; null: none needed"
    )

    changes_no_score = ServerJudge.changes_no_score | {"api_key_env"}
    # More than one choice is paid for and not read; the others change what the model is asked.
    not_options = ServerJudge.not_options | {
        "n",
        "stream_options",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "echo",
        "truncate_prompt_tokens",
    }

    @field_validator("api_key_env")
    @classmethod
    def is_a_variable(cls, name: str | None) -> str | None:
        """Refuse the key itself, without repeating it."""
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("should be the name of an environment variable, not the key itself")
        return name

    @field_validator("base_url")
    @classmethod
    def is_of_the_server(cls, base_url: str) -> str:
        """Refuse the address of a single call."""
        refuse_endings(base_url, ("/api/chat", "/api/generate"), "/v1")
        return refuse_endings(base_url, ("/chat/completions", "/completions", "/models"))

    @property
    def address(self) -> str:
        """Address of the server, or `file:` and the path of a file that holds it."""
        return self.base_url


class OpenAIBackend(ServerBackend[OpenAI]):
    """Sends questions to a model of an OpenAI-compatible server."""

    token_limits = ("max_tokens", "max_completion_tokens")

    def __init__(self, settings: OpenAI, prompt: BasePrompt, address: str) -> None:
        import openai

        super().__init__(settings, prompt, address)
        self._key = _read_key(settings, address)
        parts = urlsplit(address)
        query = dict(parse_qsl(parts.query, True))

        def add_key_of_azure(request: Any) -> None:
            # Here, since clients keep headers of their own on a redirect to another host.
            request.headers.pop("api-key", None)
            same = (request.url.scheme, request.url.host) == (parts.scheme, parts.hostname)
            if self._key and "api-version" in query and same:
                request.headers["api-key"] = self._key

        # Retries are those of judge/retry.py, so that the settings mean what they say.
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=urlunsplit(parts._replace(query="")),
            default_query=query,
            organization=read_key("OPENAI_ORG_ID"),
            project=read_key("OPENAI_PROJECT_ID"),
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                event_hooks={"request": [add_key_of_azure], "response": [limit_size]},
                **client_options(address),
            ),
        )

    def preflight(self) -> dict[str, Any]:
        """Make sure that the server answers and takes the key.

        Whether it has the model is for a question to show: gateways serve more than they list.
        """
        listed: list[str] = []
        try:
            listed = within(_LISTING_TIMEOUT, self._list)
        except NoReplyError as failure:
            if failure.status == 401:
                raise UserError(
                    f"{self.address} refuses the key in ${self.settings.api_key_env} ({failure})"
                ) from failure
            if failure.status is None and not failure.other_protocol:
                raise NoReplyError(
                    f"no server answers at {self.address} ({failure}); start it, or "
                    "correct the judge's base_url",
                    hopeless=True,
                ) from failure
            log.info("%s lists no models (%s)", self.address, failure)
        wanted = self.settings.model
        if listed and wanted not in listed and not any("*" in name for name in listed):
            same = [name for name in listed if name.lower() == wanted.lower()]
            hint = f"; did you mean {same[0]}?" if same else suggest(wanted, listed)
            log.warning("%s does not list the model %r%s", self.address, wanted, hint)
        return {"digest": None, "listed": wanted in listed}

    def _list(self) -> list[str]:
        """Return the names of the models that the server lists."""
        with self._failures(_LISTING_TIMEOUT):
            options: Any = {"timeout": _LISTING_TIMEOUT}
            listing: Any = self._client.get("/models", cast_to=object, options=options)
            models = listing.get("data") if isinstance(listing, dict) else listing
            if not isinstance(models, list):
                raise NoReplyError(
                    f"{self.address}: no list of models but {_shown(listing)}", other_protocol=True
                )
            named = [m.get("id") if isinstance(m, dict) else m for m in models]
            return sorted(name for name in named if isinstance(name, str))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Send a request and wait for the reply."""
        started = time.monotonic()
        body = dict(request["options"])
        if request["format"] is not None:
            schema = {"name": "judgement", "strict": True, "schema": request["format"]}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        with self._failures(timeout):
            completion: Any = self._client.chat.completions.create(
                model=request["model"],
                messages=request["messages"],
                extra_body=body,  # servers have options that the client does not know
                timeout=timeout,
            )
            text, cut = self._text(completion)
            fingerprint = completion.system_fingerprint or ""
            return Reply(
                text=text.encode("utf-8", "replace").decode("utf-8"),
                question_tokens=getattr(completion.usage, "prompt_tokens", None),
                answer_tokens=getattr(completion.usage, "completion_tokens", None),
                seconds=round(time.monotonic() - started, 3),
                digest=None,
                server=f"{completion.model} {fingerprint}".rstrip(),
                cut=cut,
            )

    def _text(self, completion: Any) -> tuple[str, bool]:
        """Return the text of a reply, and whether the limit of tokens ended it."""
        choices = getattr(completion, "choices", None)
        if isinstance(completion, str):  # a page for people, from something in front of the server
            raise NoReplyError(
                f"{self.address} sent no reply but {_shown(completion)}{self._suggestion()}",
                hopeless=True,
            )
        if not choices:  # proxies report failures this way under status 200
            reason = getattr(completion, "error", None) or "no choices in it"
            no_call = "unexpected endpoint" in str(reason).lower()  # of LM Studio
            raise NoReplyError(
                f"a reply without content: {reason}{self._suggestion()}",
                again=not no_call,
                hopeless=no_call,
            )
        message: Any = choices[0].message
        finish = choices[0].finish_reason
        if finish == "content_filter":
            raise NoReplyError("the server's content filter withheld the reply")
        if message is None:
            raise NoReplyError("a reply without a message", again=True)
        text, thoughts = _parts(message.content)
        text = text or getattr(message, "refusal", None) or ""
        thoughts = thoughts or any(
            getattr(message, name, None) for name in ("reasoning_content", "reasoning", "thinking")
        )
        if text.strip() or finish == "length":
            return text, finish == "length"
        if thoughts:
            raise NoReplyError("the model thought but gave no answer; raise options.max_tokens")
        raise NoReplyError("an empty reply", again=True)

    def _suggestion(self) -> str:
        """Return what may be wrong with an address that gets no reply, after a semicolon."""
        has_version = re.search(r"/v\d", urlsplit(self.address).path)
        return "" if has_version else "; should base_url end in /v1?"

    @contextmanager
    def _failures(self, timeout: float) -> Iterator[None]:
        """Turn whatever can go wrong between request and reply into NoReplyError."""
        import openai

        # The causes are cut off (`from None`): they hold the request and with it the key.
        try:
            yield
        except openai.APIStatusError as error:
            retry_after = error.response.headers.get("retry-after")
            asked = ""
            if error.status_code in _NO_SUCH_CALL:
                asked = f" (asked {error.request.url}{self._suggestion()})"
            elif error.status_code in (401, 403) and self._key:
                asked = f" (with the key in ${self.settings.api_key_env})"
            raise refusal(error.status_code, error.message, retry_after, asked) from None
        except openai.APITimeoutError:
            raise NoReplyError(
                f"no reply within {timeout:g} s", again=True, timed_out=True
            ) from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, NoReplyError):  # from limit_size
                raise error.__cause__ from None
            if problem := tls_problem(self.address, error):
                raise NoReplyError(problem, hopeless=True) from None
            raise NoReplyError(
                f"connection failed: {error.__cause__ or error}",
                again=True,
                hopeless=_never_connected(error),
            ) from None
        except (openai.OpenAIError, json.JSONDecodeError, AttributeError) as error:
            raise NoReplyError(
                f"{self.address} does not speak OpenAI's protocol: {error}"
            ) from None


def _read_key(settings: OpenAI, address: str) -> str | None:
    """Return the key from the environment; None if the server needs none."""
    if settings.api_key_env is None:
        return None
    if not (key := read_key(settings.api_key_env)):
        raise UserError(
            f"the environment variable {settings.api_key_env} with the key of {address} is "
            f"not set; export it, or set `api_key_env: null` if the server needs none"
        )
    return key


def _never_connected(error: "openai.APIConnectionError") -> bool:
    """Return whether there was no connection at all, not one that broke."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _parts(content: Any) -> tuple[str, bool]:
    """Return the text of a message, which may be a list of parts, and whether it has thoughts."""
    if content is None or isinstance(content, str):
        return content or "", False
    if not isinstance(content, list):
        raise NoReplyError(f"a reply with {type(content).__name__} as its content", again=True)
    parts = [part for part in content if isinstance(part, dict)]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(texts), any(part.get("type") in ("thinking", "reasoning") for part in parts)


def _shown(content: Any) -> str:
    """Return the beginning of something unexpected that a server sent."""
    text = " ".join(str(content).split())
    return repr(text[:80])

"""Judges on OpenAI-compatible servers, through OpenAI's own client."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from workflow.lib.judge.backends.base import Backend, NoAnswerError, refusal
from workflow.lib.judge.cache import Answer
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import OpenAI

_LISTING_TIMEOUT = 30.0  # seconds
_LISTS_NO_MODELS = {404, 405, 501}


class OpenAIBackend(Backend):
    """Asks a model of an OpenAI-compatible server; see `asking.Backend`."""

    def __init__(self, judge: OpenAI, prompt: JudgePrompt) -> None:
        super().__init__(judge, prompt)
        self._key = _read_key(judge)
        # Retries are ours (asking.ask_patiently), so that the settings mean what they say.
        self._client = openai.OpenAI(
            api_key=self._key or "none", base_url=judge.base_url, max_retries=0
        )

    def preflight(self) -> dict[str, Any]:
        """Server reachable, key accepted, model listed if any are; see `asking.Backend`."""
        try:
            with self._failures(_LISTING_TIMEOUT):
                listed = sorted(m.id for m in self._client.models.list(timeout=_LISTING_TIMEOUT))
        except NoAnswerError as failure:
            if failure.status in (401, 403):
                raise UserError(
                    f"{self.judge.base_url} refuses the key in ${self.judge.api_key_env} "
                    f"({failure})"
                ) from failure
            if failure.status not in _LISTS_NO_MODELS:
                raise NoAnswerError(
                    f"no server answers at {self.judge.base_url} ({failure}); start it, or "
                    "correct the judge's base_url",
                    hopeless=True,
                ) from failure
            listed = []
        if listed and self.judge.model not in listed:
            near = get_close_matches(self.judge.model, listed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(listed[:8])}"
            raise UserError(f"{self.judge.base_url} has no model {self.judge.model!r}; {hint}")
        return {
            "backend": "openai",
            "url": self.judge.base_url,
            "model": self.judge.model,
            "digest": None,
            "listed": bool(listed),
        }

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask_once(self, request: Mapping[str, Any], timeout: float) -> Answer:
        started = time.monotonic()
        body = dict(request["options"])
        if request["format"] is not None:
            schema = {"name": "judgement", "strict": True, "schema": request["format"]}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        with self._failures(timeout):
            completion = self._client.chat.completions.create(
                model=request["model"],
                messages=request["messages"],
                extra_body=body,  # servers have options that the client does not know
                timeout=timeout,
            )
        reply, usage = _reply(completion), completion.usage
        return Answer(
            reply=self._hide(reply).encode("utf-8", "replace").decode("utf-8"),
            question_tokens=usage.prompt_tokens if usage else None,
            answer_tokens=usage.completion_tokens if usage else None,
            seconds=round(time.monotonic() - started, 3),
            digest=None,
            server=f"{completion.model} {completion.system_fingerprint or ''}".rstrip(),
        )

    @contextmanager
    def _failures(self, timeout: float) -> Iterator[None]:
        """Whatever can go wrong between here and an answer, as NoAnswerError."""
        # The causes are cut off (`from None`): they hold the request and with it the key.
        try:
            yield
        except openai.APIStatusError as error:
            retry_after = error.response.headers.get("retry-after")
            raise refusal(error.status_code, self._hide(error.message), retry_after) from None
        except openai.APITimeoutError:
            raise NoAnswerError(f"no answer within {timeout:g} s", again=True) from None
        except openai.APIConnectionError as error:
            raise NoAnswerError(
                self._hide(f"connection failed: {error.__cause__ or error}"),
                again=True,
                hopeless=_never_connected(error),
            ) from None
        except (openai.OpenAIError, json.JSONDecodeError, AttributeError) as error:
            raise NoAnswerError(
                self._hide(f"does not speak as OpenAI's servers do: {error}")
            ) from None

    def _hide(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        return text.replace(self._key, "[key]") if self._key else text


def _read_key(judge: OpenAI) -> str | None:
    if judge.api_key_env is None:
        return None
    if not (key := os.environ.get(judge.api_key_env, "").strip()):
        raise UserError(
            f"the environment variable {judge.api_key_env} with the key of {judge.base_url} is "
            f"not set; export it, or set `api_key_env: null` if the server needs none"
        )
    return key


def _never_connected(error: openai.APIConnectionError) -> bool:
    """Whether there was no connection at all, not one that broke."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _reply(completion: ChatCompletion) -> str:
    """The text of an answer that is one."""
    choices = getattr(completion, "choices", None)
    if not choices:  # proxies report failures this way under status 200
        reason = getattr(completion, "error", None) or "no choices in it"
        raise NoAnswerError(f"an answer without content: {reason}", again=True)
    choice, message = choices[0], choices[0].message
    if choice.finish_reason == "length":
        raise NoAnswerError("the answer was cut off; raise options.max_tokens")
    if choice.finish_reason == "content_filter":
        raise NoAnswerError("the server's content filter withheld the answer")
    reply = message.content or message.refusal or ""
    if not reply.strip() and getattr(message, "reasoning_content", None):
        raise NoAnswerError("the model thought but gave no answer; raise options.max_tokens")
    return reply

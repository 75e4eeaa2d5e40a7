"""What every judge with a server has in common: the interface, failures and patience."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from tenacity import RetryCallState, Retrying, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from workflow.lib.judge.cache import Answer
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.runtime.log import log
from workflow.lib.runtime.retry_after import seconds_of
from workflow.lib.settings.judges import Ollama, OpenAI, Transport

LONGEST_WAIT = 600.0  # seconds; a server that asks for more is not waited for
NOT_ASKED = "not asked any more"
_WORTH_ANOTHER_TRY = {408, 409, 429}
_SAME_FOR_ALL = {401, 403, 404, 405}


class NoAnswerError(Exception):
    """Why a question has no answer.

    Args:
        reason: in words, for the user.
        again: whether the same question may well be answered a little later.
        hopeless: whether no other question will be answered either.
        wait: seconds that the server asks to wait for.
        status: of HTTP, if there was one.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        hopeless: bool = False,
        wait: float = 0.0,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.hopeless = hopeless
        self.wait = wait
        self.status = status


class Backend(ABC):
    """One way to ask a language model."""

    def __init__(self, judge: Ollama | OpenAI, prompt: JudgePrompt) -> None:
        self.judge = judge
        self.prompt = prompt
        self._structured = prompt.format is not None

    @abstractmethod
    def preflight(self) -> dict[str, Any]:
        """Make sure that the judge can be asked, and say what it is.

        Returns:
            plain values for the record of the run; `digest` names the model's weights or is None.

        Raises:
            NoAnswerError: the server cannot be reached.
            UserError: it can, but not so that it would judge; says what to do.
        """

    def request(self, question: str, repeat: int) -> dict[str, Any]:
        """Exactly what is sent to ask a question: what its answer depends on.

        Args:
            question: the rendered prompt.
            repeat: which asking of it, from 0; raises the seed.
        """
        options = dict(self.judge.options)
        if isinstance(seed := options.get("seed"), int):
            options["seed"] = seed + repeat
        return {
            "model": self.judge.model,
            "messages": [{"role": "user", "content": question}],
            "options": options,
            "format": self.prompt.format,
        }

    def ask(self, request: Mapping[str, Any], timeout: float) -> Answer:
        """Send a request and wait for the whole answer.

        A server that refuses the prompt's JSON schema is asked without it from then on; the answer
        is then read as any other text.

        Args:
            request: from `request`.
            timeout: seconds that it may take.

        Raises:
            NoAnswerError: there is none, or only part of one.
        """
        if self._structured:
            try:
                return self._ask_once(request, timeout)
            except NoAnswerError as failure:
                if failure.status not in (400, 422) or "format" not in failure.reason:
                    raise
                log.info("the server takes no JSON schema (%s); asking without", failure)
                self._structured = False
        return self._ask_once({**request, "format": None}, timeout)

    @abstractmethod
    def _ask_once(self, request: Mapping[str, Any], timeout: float) -> Answer:
        """Send exactly this request; raises as `ask`."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


def ask_patiently(ask: Callable[[], Answer], transport: Transport, stop: Event) -> Answer:
    """Ask again after failures that pass: busy servers, dropped connections, slow answers.

    Args:
        ask: asks once.
        transport: how often and how patiently.
        stop: when set, no wait goes on and nothing more is asked.

    Raises:
        NoAnswerError: the last failure.
    """
    growing = wait_exponential(transport.backoff, max=60.0) + wait_random(0, transport.backoff)

    def once() -> Answer:
        if stop.is_set():
            raise NoAnswerError(NOT_ASKED)
        return ask()

    retrying = Retrying(
        stop=stop_after_attempt(transport.retries + 1),
        wait=lambda state: max(growing(state), getattr(_failure(state), "wait", 0.0)),
        retry=lambda state: getattr(_failure(state), "again", False),
        sleep=stop.wait,
        reraise=True,
    )
    return retrying(once)


def refusal(status: int, text: str, retry_after: str | None) -> NoAnswerError:
    """The failure behind an HTTP status.

    Args:
        status: 400 or more.
        text: what the server says about it.
        retry_after: its header of that name: seconds or a date.
    """
    wait = seconds_of(retry_after)
    reason = f"HTTP {status}: {' '.join(text.split())[:300] or 'no reason given'}"
    if wait > LONGEST_WAIT:
        return NoAnswerError(
            f"{reason}; asks to come back in {wait:.0f} s", hopeless=True, wait=wait
        )
    return NoAnswerError(
        reason,
        again=status in _WORTH_ANOTHER_TRY or status >= 500,
        hopeless=status in _SAME_FOR_ALL,
        wait=wait,
        status=status,
    )


def _failure(state: RetryCallState) -> BaseException | None:
    """What the last try raised."""
    return state.outcome.exception() if state.outcome else None

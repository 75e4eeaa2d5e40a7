"""The interface of the files in backends/: one way to judge, with or without a server.

`LocalBackend` computes a score; `ServerBackend` sends questions to a language model. A new judge
is a new file in backends/ with a class of settings and a class that derives from one of these.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from workflow.lib.judge.address import current_address
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.prompt import JudgePrompt, load_judge_prompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.runtime.retry_after import seconds_of
from workflow.lib.settings.judges import JudgeSettings, ServerJudge, class_in_backend

LONGEST_WAIT = 600.0  # seconds; a server that asks for more is given up
_TEMPORARY = {408, 409, 429}  # the same request may succeed later
_FATAL = {401, 403, 404, 405}  # every other request will fail as well

SettingsT = TypeVar("SettingsT", bound=JudgeSettings)
ServerT = TypeVar("ServerT", bound=ServerJudge)


class Backend(ABC, Generic[SettingsT]):
    """One way to judge."""

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    def close(self) -> None:
        """Close the connections, if there are any."""


class LocalBackend(Backend[SettingsT]):
    """A judge that computes its scores in this process."""

    @abstractmethod
    def score(self, entry: Mapping[str, str]) -> float:
        """Return the score of one response, from 0 to 100.

        Args:
            entry: instruction, input, output (the reference) and model_response.
        """


class ServerBackend(Backend[ServerT]):
    """A judge that is a language model on a server.

    Args:
        settings: an entry of `judges`.
        prompt: template of its questions.
        address: where requests go, never `file:`.
    """

    def __init__(self, settings: ServerT, prompt: JudgePrompt, address: str) -> None:
        super().__init__(settings)
        self.prompt = prompt
        self.address = address
        self._structured = prompt.format is not None

    @abstractmethod
    def preflight(self) -> dict[str, Any]:
        """Make sure that the server answers and has the model, and describe them.

        Returns:
            plain values for the record of the run; `digest`, if there is one, names the model's
            weights, and replies of other weights are not taken from the cache.

        Raises:
            NoReplyError: the server cannot be reached.
            UserError: it can, but the model or the key is missing; says what to do.
        """

    def request(self, question: str, repeat: int) -> dict[str, Any]:
        """Return what is sent for a question: exactly what the reply depends on.

        Args:
            question: the rendered prompt.
            repeat: number of the request with this question, from 0; added to the seed.
        """
        options = dict(self.settings.options)
        if isinstance(seed := options.get("seed"), int):
            options["seed"] = seed + repeat
        return {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": question}],
            "options": options,
            "format": self.prompt.format,
        }

    @abstractmethod
    def ask(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Send exactly this request and wait for the whole reply.

        Args:
            request: as from `request`; `format` may be None instead.
            timeout: seconds that it may take.

        Raises:
            NoReplyError: there is none, or only part of one.
        """

    def send(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Send a request, without the prompt's JSON schema once the server has refused one.

        A reply without the schema is read as any other text. Arguments and errors are those of
        `ask`, which may itself take longer than the time it is given.
        """
        from workflow.lib.judge.limits import within  # it raises this module's error

        if self._structured:
            try:
                return within(timeout, lambda: self.ask(request, timeout))
            except NoReplyError as failure:
                if failure.status not in (400, 422) or "format" not in failure.reason:
                    raise
                log.info("the server refuses the JSON schema (%s); sending none", failure)
                self._structured = False
        return within(timeout, lambda: self.ask({**request, "format": None}, timeout))


class NoReplyError(Exception):
    """Raised when a request gets no reply.

    Args:
        reason: in words, for the user.
        again: whether the same request may succeed a little later.
        hopeless: whether every other request will fail as well.
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


def open_backend(judge: JudgeSettings, name: str) -> LocalBackend[Any] | ServerBackend[Any]:
    """Return the implementation that belongs to a judge's settings; to be closed after use.

    Args:
        judge: an entry of `judges`.
        name: its name in config.yaml.

    Raises:
        UserError: the prompt, the key or the address of the server is missing.
    """
    module = type(judge).__module__
    if not isinstance(judge, ServerJudge):
        return class_in_backend(module, LocalBackend)(judge)
    prompt = load_judge_prompt(judge.prompt)
    try:
        address = current_address(judge.address)
        return class_in_backend(module, ServerBackend)(judge, prompt, address)
    except UserError as error:
        raise UserError(f"judge {name}: {error}") from error


def refusal(status: int, text: str, retry_after: str | None) -> NoReplyError:
    """Return the failure that an HTTP status stands for.

    Args:
        status: 400 or more.
        text: reason that the server gives.
        retry_after: header of that name: seconds or a date.
    """
    wait = seconds_of(retry_after)
    reason = f"HTTP {status}: {' '.join(text.split())[:300] or 'no reason given'}"
    if wait > LONGEST_WAIT:
        return NoReplyError(f"{reason}; asks to retry in {wait:.0f} s", hopeless=True, wait=wait)
    return NoReplyError(
        reason,
        again=status in _TEMPORARY or status >= 500,
        hopeless=status in _FATAL,
        wait=wait,
        status=status,
    )

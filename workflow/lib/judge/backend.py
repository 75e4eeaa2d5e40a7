"""The interface of the files in backends/: one way to judge, with or without a server.

`LocalBackend` computes a score; `ServerBackend` sends questions to a language model. A new judge
is a new file in backends/ with a class of settings and a class that derives from one of these.
"""

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from workflow.lib.judge.address import current_address
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.limits import within
from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.judge.prompt import BasePrompt, prompt_of
from workflow.lib.judge.wins import FIRST, SECOND, TIE, same_text
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.runtime.printable import keep_secrets_of, redacted
from workflow.lib.settings.judges import JudgeSettings, ServerJudge, class_in_backend

_GATEWAY_TIMEOUTS = {504, 524}  # if they come late; at once they say that a gateway is not ready
_LONG = 10.0  # seconds
TOKEN_LIMIT = 1024  # tokens of a reply, if the settings have no limit

Verdicts = tuple[str | None, str | None]  # on a pair of responses in both orders

SettingsT = TypeVar("SettingsT", bound=JudgeSettings)
ServerT = TypeVar("ServerT", bound=ServerJudge)


class Backend(ABC, Generic[SettingsT]):
    """One way to judge."""

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    def close(self) -> None:
        """Close the connections, if there are any."""


class ServerlessBackend(Backend[SettingsT]):
    """A judge that asks nobody while it judges."""

    @abstractmethod
    def scores(self, entries: Sequence[Mapping[str, str]]) -> Sequence[Sequence[float | None]]:
        """Return the scores of all responses, from 0 to 100, as many of each.

        Args:
            entries: each with instruction, input, output (the reference) and model_response.

        Returns:
            for each response its scores, None where one is missing.
        """

    @abstractmethod
    def verdicts(
        self, entries: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]
    ) -> Sequence[Sequence[Verdicts]]:
        """Say which of two responses to each entry is better: first, second or tie.

        Args:
            entries: as for `scores`.
            pairs: of each entry, the responses of the variant and of the baseline.

        Returns:
            for each pair its verdicts, as many of each: on the pair in this order and in the other,
            None where one is missing.
        """


class LocalBackend(ServerlessBackend[SettingsT]):
    """A judge that computes its scores in this process."""

    def scores(self, entries: Sequence[Mapping[str, str]]) -> Sequence[Sequence[float | None]]:
        """Return one score of each response; that of an empty one is 0."""
        return [[self.score(e) if e["model_response"].strip() else 0] for e in entries]

    @abstractmethod
    def score(self, entry: Mapping[str, str]) -> float:
        """Return the score of one response, from 0 to 100.

        Args:
            entry: instruction, input, output (the reference) and model_response.
        """

    def verdicts(
        self, entries: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]
    ) -> list[list[Verdicts]]:
        """Return which of two responses scores higher, in both orders."""
        return [
            [(self.compare(entry, *pair), self.compare(entry, *pair[::-1]))]
            for entry, pair in zip(entries, pairs, strict=True)
        ]

    def compare(self, entry: Mapping[str, str], first: str, second: str) -> str:
        """Return which of two responses scores higher: first, second or tie."""
        if same_text(first, second):
            return TIE
        one, other = (self.score({**entry, "model_response": text}) for text in (first, second))
        return TIE if one == other else FIRST if one > other else SECOND


class ServerBackend(Backend[ServerT]):
    """A judge that is a language model on a server.

    Args:
        settings: an entry of `judges`.
        prompt: template of its questions.
        address: where requests go, never `file:`.
    """

    # Options that limit the tokens of a reply; the first is sent if the settings have none.
    token_limits: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: ServerT, prompt: BasePrompt, address: str) -> None:
        super().__init__(settings)
        self.prompt = prompt
        self.address = address
        self._structured = prompt.format is not None
        self._limited = bool(self.token_limits)

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
        options = {k: v for k, v in self.settings.options.items() if v is not None}
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
        """Send a request, without what is not asked for by the settings once the server refuses it.

        That is the prompt's JSON schema, without which a reply is read as any other text, and the
        usual limit of its tokens. The limit changes no reply that ends by itself, so it is not part
        of the request. Arguments and errors are those of `ask`, which may itself take longer than
        the time it is given.
        """
        body = dict(request)
        if not self._structured:
            body["format"] = None
        if self._limited and not set(self.token_limits) & set(self.settings.options):
            body["options"] = {self.token_limits[0]: TOKEN_LIMIT, **request["options"]}
        started = time.monotonic()
        try:
            reply = within(timeout, lambda: self.ask(body, timeout))
            return Reply(**redacted(vars(reply)))  # a server may repeat the key
        except NoReplyError as failure:
            if failure.status in _GATEWAY_TIMEOUTS and time.monotonic() - started > _LONG:
                failure.timed_out = True
            if failure.timed_out and request["options"].get("temperature") == 0:
                failure.again = False  # it would take as long again
            if failure.status not in (400, 422):
                raise
            if body["format"] is not None and "format" in failure.reason:
                log.info("the server refuses the JSON schema (%s); sending none", failure)
                self._structured = False
            elif body["options"] != request["options"] and self.token_limits[0] in failure.reason:
                log.info("the server refuses %s (%s); sending none", self.token_limits[0], failure)
                self._limited = False
            elif refused := self._refused_options(failure.reason):
                raise NoReplyError(refused, hopeless=True, status=failure.status) from failure
            else:
                raise
        return self.send(request, timeout)

    def _refused_options(self, reason: str) -> str | None:
        """Return what to do about a refusal that names options of the judge, if it does."""
        given = {k: v for k, v in self.settings.options.items() if v is not None}
        named = [name for name in given if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reason)]
        if not named:
            return None
        wanted = {**self.settings.options, **dict.fromkeys(named)}
        for other in self.token_limits:
            if other in reason and other not in given and set(named) & set(self.token_limits):
                wanted[other] = given[next(n for n in named if n in self.token_limits)]
        default = type(self.settings).model_fields["options"].default
        usual = all(default.get(name) == given[name] for name in named)
        whose = "a default of this backend" if usual else "one of the judge's `options`"
        return (
            f"{reason}; {', '.join(named)} is {whose}; to leave it out, set options: "
            f"{json.dumps(wanted)}"
        )


def open_backend(judge: JudgeSettings, name: str) -> ServerlessBackend[Any] | ServerBackend[Any]:
    """Return the implementation that belongs to a judge's settings; to be closed after use.

    Args:
        judge: an entry of `judges`.
        name: its name in config.yaml.

    Raises:
        UserError: the prompt, the key or the address of the server is missing.
    """
    module = type(judge).__module__
    if not isinstance(judge, ServerJudge):
        return class_in_backend(module, ServerlessBackend)(judge)
    prompt = prompt_of(judge)
    try:
        address = current_address(judge)
        keep_secrets_of(address)
        return class_in_backend(module, ServerBackend)(judge, prompt, address)
    except UserError as error:
        raise UserError(f"judge {name}: {error}") from error

"""Judges on an Ollama server, local or remote (listings 7.10 and 7.11), through its own client."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.judge.ollama_server import OllamaServer
from workflow.lib.judge.prompt import BasePrompt
from workflow.lib.judge.tokens_read import does_not_fit, was_cut
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.addresses import FILE, Address, refuse_endings
from workflow.lib.settings.judges import Options, ServerJudge

if TYPE_CHECKING:  # the client takes about a second to import, and reading config.yaml needs none
    import ollama


class Ollama(ServerJudge):
    """A model of an Ollama server (listings 7.10 and 7.11)."""

    backend: Literal["ollama"]
    model: str = Field(min_length=1, description="as `ollama list` names it")
    url: Address = Field(
        "http://localhost:11434", description="address, or file: and the path of a file with it"
    )
    options: Options = Field(
        {"seed": 123, "temperature": 0, "num_ctx": 2048},
        description="options of the model; null leaves one out",
    )
    think: bool | None = Field(
        None, description="whether a thinking model thinks; null: as the model does by default"
    )
    pull: bool = Field(False, description="let the server download the model if it lacks it")

    changes_no_score = ServerJudge.changes_no_score | {"pull"}
    not_options = ServerJudge.not_options | {"think", "keep_alive", "system", "template", "raw"}

    @field_validator("options")
    @classmethod
    def keep_default_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults: without num_ctx the server cuts long questions silently."""
        if options.get("num_ctx", 1) is None:
            raise ValueError("should hold num_ctx: without it the server cuts long questions")
        return {**cls.model_fields["options"].default, **options}

    @field_validator("url")
    @classmethod
    def is_of_the_server(cls, url: str) -> str:
        """Refuse the chapter's http://localhost:11434/api/chat, and the address of another API."""
        if not url.startswith(FILE) and urlsplit(url).query:
            raise ValueError("should have no query: Ollama's client sends none")
        endings = ("/api/chat", "/api/generate", "/v1/chat/completions", "/api", "/v1")
        return refuse_endings(url, endings)

    @property
    def address(self) -> str:
        """Address of the server, or `file:` and the path of a file that holds it."""
        return self.url


class OllamaBackend(ServerBackend[Ollama]):
    """Sends questions to a model of an Ollama server."""

    token_limits = ("num_predict",)

    def __init__(self, settings: Ollama, prompt: BasePrompt, address: str) -> None:
        super().__init__(settings, prompt, address)
        self._server = OllamaServer(address)
        self._digest: str | None = None
        self._version: str | None = None
        context = settings.options.get("num_ctx")
        self._context = context if isinstance(context, int) else None

    def preflight(self) -> dict[str, Any]:
        """Make sure that the server has the model, which it downloads if `pull` is set."""
        name = self.settings.model
        model = self._server.find(name)
        if model is None and self.settings.pull:
            self._server.pull(name, self.settings.transport.first_timeout)
            model = self._server.find(name)
        if model is None:
            raise UserError(self._server.how_to_get(name))
        shown, self._version = self._server.show(name)
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

    def request(self, question: str, repeat: int) -> dict[str, Any]:
        """Return the arguments of the client's chat."""
        return {**super().request(question, repeat), "think": self.settings.think}

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def ask(self, request: Mapping[str, Any], timeout: float) -> Reply:
        """Send a request and join the parts of the streamed reply."""
        body = {name: value for name, value in request.items() if value is not None}
        started = time.monotonic()
        text, thoughts, last = "", "", None
        with closing(self._server.chat(body, timeout)) as parts:
            for last in parts:
                text += last.message.content or ""
                thoughts += last.message.thinking or ""
        if last is None or not last.done:
            raise NoReplyError("the connection ended in the middle of a reply", again=True)
        said = "\n".join(message["content"] for message in request["messages"])
        if flaw := self._flaw(said, last, text, thoughts):
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

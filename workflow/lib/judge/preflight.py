"""Whether a judge can be asked, found out before anything expensive starts."""

from pathlib import Path
from threading import Event

from workflow.lib.judge.backends.address import at_its_address
from workflow.lib.judge.backends.base import Backend, NoAnswerError, ask_patiently
from workflow.lib.judge.backends.overlap import LABEL
from workflow.lib.judge.prompt import JudgePrompt, load_judge_prompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import Judge, Ollama, OpenAI, Overlap, Transport


def check_judge(judge: Judge, name: str, output: Path) -> None:
    """Make sure that a judge can be asked and record what it is (section 7.8).

    The chapter looks for a process called ollama; this asks the server itself, which may be on
    another machine.

    Args:
        judge: its settings.
        name: its name in config.yaml.
        output: JSON file to write: backend and, of a server, its version, the model and its digest.

    Raises:
        UserError: the server, the model or the key is missing; says in one line how to get it.
    """
    if isinstance(judge, Overlap):
        write_json(output, {"judge": name, "backend": "overlap", "label": LABEL})
        log.info("%s: %s", name, LABEL)
        return
    backend = open_backend(judge, name, load_judge_prompt(judge.prompt))
    try:
        record = preflight(backend, name, judge.transport)
    finally:
        backend.close()
    write_json(output, {"judge": name, **record})
    log.info("%s: %s at %s is ready", name, record["model"], record["url"])


def open_backend(judge: Ollama | OpenAI, name: str, prompt: JudgePrompt) -> Backend:
    """The way to ask this judge; to be closed after use.

    Raises:
        UserError: the settings do not allow to ask at all, or no server has said where it is.
    """
    # Imported here because each client takes about a second, and a run needs one of them or none.
    try:
        judge = at_its_address(judge)
        if isinstance(judge, Ollama):
            from workflow.lib.judge.backends.ollama import OllamaBackend

            return OllamaBackend(judge, prompt)
        from workflow.lib.judge.backends.openai import OpenAIBackend

        return OpenAIBackend(judge, prompt)
    except UserError as error:
        raise UserError(f"judge {name}: {error}") from error


def preflight(backend: Backend, name: str, transport: Transport) -> dict[str, object]:
    """The backend's preflight, as patient as its questions, its failures with the judge's name.

    Raises:
        UnreachableError: no server answers.
        UserError: it answers, but cannot judge.
    """
    try:
        return ask_patiently(backend.preflight, transport, Event())
    except NoAnswerError as failure:
        raise UnreachableError(f"judge {name}: {failure}") from failure
    except UserError as error:
        raise UserError(f"judge {name}: {error}") from error


class UnreachableError(UserError):
    """No server answers: fatal, unless all that would be asked is already answered."""

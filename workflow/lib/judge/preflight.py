"""Checks that a judge can work, before anything expensive starts."""

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

from workflow.lib.judge.backend import LocalBackend, ServerBackend, open_backend
from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.judge.retry import with_retries
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import JudgeSettings


def check_judge(judge: JudgeSettings, name: str, output: Path) -> None:
    """Make sure that a judge can work and record what it is (section 7.8).

    The chapter looks for a process called ollama; this asks the server itself, which may be on
    another machine.

    Args:
        judge: an entry of `judges`.
        name: its name in config.yaml.
        output: JSON file to write: backend and, of a server, its version, the model and its digest.

    Raises:
        UserError: the server, the model or the key is missing; says in one line how to get it.
    """
    record: dict[str, Any] = {"judge": name, "backend": judge.backend}
    with closing(open_backend(judge, name)) as backend:
        if isinstance(backend, LocalBackend):
            record["label"] = judge.label
            log.info("%s: %s", name, judge.label)
        else:
            record |= {"url": backend.address, "model": backend.settings.model}
            record |= preflight(backend, name)
            log.info("%s: %s at %s is ready", name, record["model"], record["url"])
    write_json(output, record)


def preflight(backend: ServerBackend[Any], name: str) -> dict[str, Any]:
    """Run the backend's preflight with retries; its failures carry the judge's name.

    Raises:
        UnreachableError: no server answers.
        UserError: it answers, but cannot judge.
    """
    try:
        return with_retries(backend.preflight, backend.settings.transport, Event())
    except NoReplyError as failure:
        raise UnreachableError(f"judge {name}: {failure}") from failure
    except UserError as error:
        raise UserError(f"judge {name}: {error}") from error


class UnreachableError(UserError):
    """An unreachable server: fatal, unless the cache holds every reply."""

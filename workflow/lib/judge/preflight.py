"""Checks that a judge can work, before anything expensive starts."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock

from workflow.lib.judge.again import body_again
from workflow.lib.judge.backend import ServerBackend, ServerlessBackend, open_backend
from workflow.lib.judge.cache import Reply, ReplyCache, request_key
from workflow.lib.judge.no_reply import NoReplyError
from workflow.lib.judge.prompt import JudgePrompt, PairPrompt
from workflow.lib.judge.reply import read_reply
from workflow.lib.judge.retry import with_retries
from workflow.lib.judge.wins import FIRST, SECOND
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.lib.runtime.printable import redacted
from workflow.lib.settings.judges import JudgeSettings

KNOWN_ENTRY = {
    "instruction": "What is the capital of France?",
    "input": "",
    "output": "The capital of France is Paris.",
}
KNOWN_RESPONSES = {
    "right": "The capital of France is Paris.",
    "wrong": "Bananas are yellow and grow on trees.",
}
LEAST_DIFFERENCE = 20.0  # points between the two, of 100


def check_judge(judge: JudgeSettings, name: str, output: Path, passed: Path | None = None) -> None:
    """Make sure that a judge can work and record what it is (section 7.8).

    The chapter looks for a process called ollama; this asks the server itself, which may be on
    another machine. A language model is also asked about a right answer and a wrong one.

    Args:
        judge: an entry of `judges`.
        name: its name in config.yaml.
        output: JSON file to write: backend and, of a server, its version, the model, its digest,
            and what it replied.
        passed: JSON lines, shared by the checks of one run: replies that passed, so that a judge of
            many variants is asked once. None: it is asked.

    Raises:
        UserError: the server, the model or the key is missing, or the judge does not score the
            right answer above the wrong one; says in one line what to do.
    """
    record: dict[str, Any] = {"judge": name, "backend": judge.backend}
    with closing(open_backend(judge, name)) as backend:
        if isinstance(backend, ServerlessBackend):
            record["label"] = judge.label
            log.info("%s: %s", name, judge.label)
        else:
            record |= {"url": backend.address, "model": backend.settings.model}
            record |= preflight(backend, name)
            with _only_one(passed):
                record["known"] = ask_known_questions(backend, name, record.get("digest"), passed)
            log.info("%s: %s at %s is ready", name, record["model"], record["url"])
    write_json(output, redacted(record))


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


def _only_one(passed: Path | None) -> AbstractContextManager[Any]:
    """Have one check at a time ask, so that the others find its replies."""
    if passed is None:
        return nullcontext()
    passed.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(passed.with_name(f".{passed.name}.lock"))


def ask_known_questions(
    backend: ServerBackend[Any], name: str, digest: str | None, passed: Path | None
) -> dict[str, dict[str, Any]]:
    """Ask a judge about a right answer and a wrong one, and return its replies and readings.

    A pairwise judge is asked which of the two is better, in both orders.

    Args:
        digest: of the model's weights, if the server has one.
        passed: as for `check_judge`.

    Raises:
        UserError: it cannot be asked, its reply cannot be read, or it does not tell them apart; if
            the settings say `check: warn`, this is logged instead.
    """
    judge, prompt = backend.settings, backend.prompt
    if isinstance(prompt, PairPrompt):
        texts = list(KNOWN_RESPONSES.values())
        questions = {
            "right, then a wrong": prompt.question(KNOWN_ENTRY, *texts),
            "wrong, then a right": prompt.question(KNOWN_ENTRY, *texts[::-1]),
        }
    else:
        assert isinstance(prompt, JudgePrompt)
        questions = {
            kind: prompt.question({**KNOWN_ENTRY, "model_response": response})
            for kind, response in KNOWN_RESPONSES.items()
        }
    bodies = {kind: backend.request(question, 0) for kind, question in questions.items()}
    replies: dict[str, Reply] = {}
    cache = ReplyCache(passed) if passed else None
    keys = {
        kind: request_key(judge.backend, judge.address, digest, {**body, "": judge.ask_again}, 0)
        for kind, body in bodies.items()
    }
    if cache:
        replies = {kind: reply for kind, key in keys.items() if (reply := cache.get(key))}
        known = _read(replies, backend)
        if len(known) == len(keys) and not (_unread(known, backend) or _confused(known, backend)):
            log.info("%s: passed the check of this run", name)
            return known
        replies = {}
    try:
        for kind, body in bodies.items():
            replies[kind] = _ask(backend, body)
        known = _read(replies, backend)
        problem = _unread(known, backend) or _confused(known, backend)
    except NoReplyError as failure:
        known = _read(replies, backend)
        problem = f"it cannot be asked: {failure}"
    if cache and not problem:
        for kind, key in keys.items():
            cache.add(key, replies[kind])
    if problem and judge.check == "refuse":
        raise UserError(f"judge {name}: {problem}, or set `check: warn` to judge all the same")
    if problem:
        log.warning("judge %s: %s", name, problem)
    return known


def _unread(known: dict[str, dict[str, Any]], backend: ServerBackend[Any]) -> str | None:
    """Return which reply to the known questions cannot be read, and what to do."""
    for kind, answer in known.items():
        if answer["cut"]:
            limit = "".join(f" options.{name}," for name in backend.token_limits[:1])
            return f"its reply about a {kind} answer was cut off; raise{limit} its limit of tokens"
        what = f"{answer['reply'][:80]!r}; change its prompt or its model"
        if backend.settings.pairwise and answer["verdict"] is None:
            return f"no verdict can be read from its reply about a {kind} answer, {what}"
        if not backend.settings.pairwise and answer["score"] is None:
            return f"no score can be read from its reply about a {kind} answer, {what}"
    return None


def _confused(known: dict[str, dict[str, Any]], backend: ServerBackend[Any]) -> str | None:
    """Return that a judge does not tell the right answer from the wrong one, if so."""
    instead = f"take another model than {backend.settings.model}"
    if backend.settings.pairwise:
        verdicts = [answer["verdict"] for answer in known.values()]
        if verdicts == [FIRST, SECOND]:
            return None
        return (
            "it cannot tell a right answer from a plainly wrong one: its verdict is "
            f"{verdicts[0]} where the right one stands first and {verdicts[1]} where it stands "
            f"second; {instead}"
        )
    right, wrong = known["right"]["score"], known["wrong"]["score"]
    if right - wrong >= LEAST_DIFFERENCE:
        return None
    return (
        f"it cannot tell a right answer ({right:g}) from a plainly wrong one ({wrong:g}); {instead}"
    )


def _read(replies: Mapping[str, Reply], backend: ServerBackend[Any]) -> dict[str, dict[str, Any]]:
    """Return each reply with what it says."""
    said = "verdict" if backend.settings.pairwise else "score"
    return {
        kind: {"reply": reply.text, said: read_reply(backend, reply), "cut": reply.cut}
        for kind, reply in replies.items()
    }


def _ask(backend: ServerBackend[Any], body: Mapping[str, Any]) -> Reply:
    """Return a judge's reply to a request, or to its repetition."""

    def send(body: Mapping[str, Any]) -> Reply:
        # The first question loads the model, and servers may unload it before the second.
        seconds = transport.first_timeout
        return with_retries(lambda: backend.send(body, seconds), transport, Event())

    transport = backend.settings.transport
    reply = send(body)
    if again := body_again(backend, body, reply):
        with suppress(NoReplyError):  # as in judging, the first reply then stands
            second = send(again)
            reply = reply if read_reply(backend, second) is None else second
    return reply


class UnreachableError(UserError):
    """An unreachable server: fatal, unless the cache holds every reply."""

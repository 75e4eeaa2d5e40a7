"""Asks a judge on a server all questions about a variant, of scores or of pairs alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.lib.judge.again import requests_again
from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply, ReplyCache, request_key
from workflow.lib.judge.preflight import UnreachableError, preflight
from workflow.lib.judge.reply import read_reply
from workflow.lib.judge.retry import NOT_SENT
from workflow.lib.judge.runner import Request, send_all
from workflow.lib.judge.tokens_read import is_implausible
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import ServerJudge


@dataclass(frozen=True)
class Question:
    """A question about one entry.

    Args:
        entry: number of the entry, from 0.
        repeat: number of the request about this entry, from 0.
        text: the rendered prompt.
    """

    entry: int
    repeat: int
    text: str


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Args:
        reply: the one that was read, or the first where none could be; None without a reply.
        said: the score or the verdict in it; None where it cannot be read.
        asked_again: whether the judge was asked once more for the answer alone.
    """

    reply: Reply | None
    said: Any
    asked_again: bool

    @property
    def status(self) -> str:
        """The status of a question without a readable answer."""
        return "failed" if self.reply is None else "unparsed"


@dataclass(frozen=True)
class Answers:
    """The answers to all questions, in their order.

    Args:
        failures: number of the entry and reason of each request without a reply.
        replies: all of them, those to questions asked again among them.
        hint: what to do about replies that were cut off; empty if none was.
    """

    of: Sequence[Answer]
    failures: Sequence[tuple[int, str]]
    replies: Sequence[Reply]
    hint: str


def ask_all(
    backend: ServerBackend[Any], questions: Sequence[Question], cache_path: Path, name: str
) -> Answers:
    """Ask all questions that have no reply yet, and once more where a reply cannot be read.

    Args:
        backend: of the judge.
        questions: in the order of the answers.
        cache_path: JSON lines, kept between runs: replies that were received.
        name: of the judge.

    Raises:
        UserError: the judge cannot work; replies stay in the cache.
    """
    judge = backend.settings
    cache = ReplyCache(cache_path)
    cache.forget_empty()
    unreachable = None
    try:
        digest = preflight(backend, name).get("digest")
    except UnreachableError as error:
        # If every reply is cached, a change in how replies are parsed needs no server.
        last, unreachable = cache.last(), error
        digest = last.digest if last else None
    requests = []
    for question in questions:
        body = backend.request(question.text, question.repeat)
        # The address of the settings, so that a server may move.
        key = request_key(judge.backend, judge.address, digest, body, question.repeat)
        requests.append(Request(question.entry, question.repeat, question.text, body, key))
    if unreachable and any(cache.get(request.key) is None for request in requests):
        raise unreachable
    failures = send_all(backend, requests, cache, name)
    again = requests_again(backend, requests, cache, digest)
    if again and not unreachable:
        log.info(
            "%s: %d replies hold no %s; asking for it alone",
            name,
            len(again),
            "verdict" if judge.pairwise else "score",
        )
        send_all(backend, list(again.values()), cache, name)
    answers = []
    for request in requests:
        reply, second = cache.get(request.key), None
        if request.key in again:
            second = cache.get(again[request.key].key)
        said = read_reply(backend, second or reply)
        answers.append(Answer(second or reply if said is not None else reply, said, bool(second)))
    _warn_of_unread_questions(requests, cache, name)
    entry_of = {request.key: request.entry for request in reversed(requests)}
    by_key = {r.key: cache.get(r.key) for r in [*requests, *again.values()]}
    replies = [reply for reply in by_key.values() if reply is not None]
    cut = sum(reply.cut for reply in replies)
    limit = "".join(f"; raise options.{option}" for option in backend.token_limits[:1])
    return Answers(
        answers,
        [(entry_of[key], failure.reason) for key, failure in failures.items()],
        replies,
        f"{cut} were cut off{limit}; " if cut else "",
    )


def _warn_of_unread_questions(requests: Sequence[Request], cache: ReplyCache, name: str) -> None:
    """Log the questions of which the server reports implausibly few tokens."""
    found = {
        request.entry: reply.question_tokens
        for request in reversed(requests)
        if (reply := cache.get(request.key))
        and is_implausible(request.question, reply.question_tokens)
    }
    if found:
        first = min(found)
        log.warning(
            "%s: the server read far too few tokens of %d questions for their length, the first "
            "about entry %d (%d tokens); check that its chat template passes the message on and "
            "that its context is long enough",
            name,
            len(found),
            first,
            found[first],
        )


def refuse_gaps(
    questions: Sequence[Question],
    answers: Answers,
    entries: int,
    judge: ServerJudge,
    name: str,
    cache: Path,
) -> None:
    """Raise UserError if more entries than allowed have no reply, or more replies cannot be read.

    Args:
        questions: those that were asked.
        answers: to these questions.
        entries: number of all entries.
    """
    wanted = "verdict" if judge.pairwise else "score"
    answered = list(zip(questions, answers.of, strict=True))
    failed = {question.entry for question, answer in answered if answer.reply is None}
    unparsed = [(q.entry, a.reply.text) for q, a in answered if a.reply and a.said is None]
    replied = sum(answer.reply is not None for answer in answers.of)
    faults = []
    if len(failed) > judge.max_failed:
        counts = Counter(reason for _, reason in answers.failures)
        left = counts.pop(NOT_SENT, 0)
        first = {reason: entry for entry, reason in sorted(answers.failures, reverse=True)}
        reasons = [
            f"entry {first[reason]}{' and others' if count > 1 else ''}: {count} x {reason}"
            for reason, count in counts.most_common(3)
        ]
        faults.append(
            f"{len(failed)} got no reply (max_failed {judge.max_failed}): "
            + ", ".join(reasons + [f"{left} x {NOT_SENT}"] * (left > 0))
            + "; run again to send only the missing requests"
        )
    if len(unparsed) > judge.max_unparsed * replied:
        entry, text = unparsed[0]
        faults.append(
            f"{len(unparsed)} replies hold no readable {wanted} (max_unparsed "
            f"{judge.max_unparsed:g}), the first, about entry {entry}: {text[:80]!r}; "
            f"{answers.hint}change the prompt, or allow more"
        )
    if faults:
        without = failed | {entry for entry, _ in unparsed}
        what = "entries have no verdict: " if judge.pairwise else "entries have no score: "
        raise UserError(
            f"judge {name}: {len(without)} of {entries} {what}{'; '.join(faults)}; all replies are "
            f"kept in {cache}"
        )

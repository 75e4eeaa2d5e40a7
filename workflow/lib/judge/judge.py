"""Judges the responses of one variant: a row for every entry and repeat (listing 7.11)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

from workflow.lib.data.entries import read_responses
from workflow.lib.judge.again import requests_again, score_of
from workflow.lib.judge.backend import ServerBackend, ServerlessBackend, open_backend
from workflow.lib.judge.cache import Reply, ReplyCache, request_key
from workflow.lib.judge.preflight import UnreachableError, preflight
from workflow.lib.judge.retry import NOT_SENT
from workflow.lib.judge.runner import Request, send_all
from workflow.lib.judge.scores import COLUMNS, Verdict, text_digest
from workflow.lib.judge.tokens_read import is_implausible
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import JudgeSettings, ServerJudge

# Words and single marks: counted the same for every model, whatever its tokenizer, and in every
# script, so that the lengths of two variants can be compared.
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Names(TypedDict):
    """Names in config.yaml of the variant and its judge."""

    model: str
    recipe: str
    judge: str


def judge_responses(
    responses: Path,
    judge: JudgeSettings,
    names: Names,
    output: Path,
    cache: Path,
    usage: Path | None = None,
) -> None:
    """Score every response and log the chapter's two lines.

    Args:
        responses: JSON list of test entries with "model_response".
        judge: an entry of `judges`.
        names: of the variant and the judge.
        output: CSV file to write, the columns those of `Verdict`; the same bytes again from the
            same replies.
        cache: JSON lines, kept between runs: replies that were received.
        usage: JSON file to write: which weights and servers gave the replies, how many tokens and
            seconds they took, and what they cost if the settings hold prices.

    Raises:
        UserError: the judge cannot work, or more entries than allowed have no score; replies stay
            in the cache.
    """
    entries = read_responses(responses)
    with closing(open_backend(judge, names["judge"])) as backend:
        if isinstance(backend, ServerlessBackend):
            log.info("%s: %s", names["judge"], judge.label)
            verdicts = [
                _local_verdict(names, number, entries[number], score, repeat)
                for number, scores in enumerate(backend.scores(entries))
                for repeat, score in enumerate(scores)
            ]
            used = _usage(judge, [])
        else:
            verdicts, used = _ask(entries, backend, names, cache)
    write_csv(output, COLUMNS, map(_row, verdicts), recorded=True)
    if usage is not None:
        write_json(usage, used, recorded=True)
    _log_scores(verdicts)


def _ask(
    entries: Sequence[Mapping[str, str]],
    backend: ServerBackend[Any],
    names: Names,
    cache_path: Path,
) -> tuple[list[Verdict], dict[str, Any]]:
    """Return the verdicts of a judge with a server, and the usage of that server."""
    judge, prompt, name = backend.settings, backend.prompt, names["judge"]
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
    for number, entry in enumerate(entries):
        question = prompt.question(entry)
        for repeat in range(judge.repeats):
            body = backend.request(question, repeat)
            # The address of the settings, so that a server may move.
            key = request_key(judge.backend, judge.address, digest, body, repeat)
            requests.append(Request(number, repeat, question, body, key))
    to_send = [r for r in requests if entries[r.entry]["model_response"].strip()]
    if unreachable and any(cache.get(request.key) is None for request in to_send):
        raise unreachable
    failures = send_all(backend, to_send, cache, name)
    again = requests_again(backend, to_send, cache, digest)
    if again and not unreachable:
        log.info("%s: %d replies hold no score; asking for the number alone", name, len(again))
        send_all(backend, list(again.values()), cache, name)
    verdicts = []
    for request in requests:
        reply, second = cache.get(request.key), None
        if request.key in again:
            second = cache.get(again[request.key].key)
        score = score_of(backend, second or reply)
        if score is not None:
            reply = second or reply
        entry = entries[request.entry]
        verdict = _verdict(names, request.entry, entry, request=request, reply=reply, score=score)
        verdicts.append(replace(verdict, asked_again=int(second is not None)))
    _warn_of_unread_questions(requests, cache, name)
    entry_of = {request.key: request.entry for request in reversed(to_send)}
    failed = [(entry_of[key], failure.reason) for key, failure in failures.items()]
    by_key = {r.key: cache.get(r.key) for r in [*to_send, *again.values()]}
    replies = [reply for reply in by_key.values() if reply is not None]
    cut = sum(reply.cut for reply in replies)
    limit = "".join(f"; raise options.{name}" for name in backend.token_limits[:1])
    hint = f"{cut} were cut off{limit}; " if cut else ""
    _refuse_gaps(verdicts, failed, hint, judge, name, cache_path)
    return verdicts, _usage(judge, replies)


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


def _verdict(
    names: Names,
    number: int,
    entry: Mapping[str, str],
    *,
    score: float | None,
    request: Request,
    reply: Reply | None,
) -> Verdict:
    """Return the row of one entry and repeat of a judge with a server."""
    if not entry["model_response"].strip():
        score, status = 0, "empty"
    elif score is not None:
        status = "scored"
    else:
        status = "failed" if reply is None else "unparsed"
    return replace(
        _local_verdict(names, number, entry, score, request.repeat),
        status=status,
        reply=reply.text if reply else "",
        prompt_sha256=text_digest(request.question),
    )


def _local_verdict(
    names: Names, number: int, entry: Mapping[str, str], score: float | None, repeat: int
) -> Verdict:
    """Return the row of one entry and repeat of a judge that is asked nothing."""
    response = entry["model_response"]
    status = "scored" if score or response.strip() else "empty"
    return Verdict(
        **names,
        entry=number,
        repeat=repeat,
        score=score,
        status="unrated" if score is None else status,
        exact_match=int(response.strip() == entry["output"].strip()),
        response_tokens=len(_TOKEN.findall(response)),
        reply="",
        prompt_sha256="",
        response_sha256=text_digest(response),
    )


def _refuse_gaps(
    verdicts: Sequence[Verdict],
    failures: Sequence[tuple[int, str]],
    hint: str,
    judge: ServerJudge,
    name: str,
    cache: Path,
) -> None:
    """Raise UserError if more entries than allowed have no reply, or more replies no score."""
    failed = {verdict.entry for verdict in verdicts if verdict.status == "failed"}
    unparsed = [verdict for verdict in verdicts if verdict.status == "unparsed"]
    answered = sum(verdict.status in ("scored", "unparsed") for verdict in verdicts)
    faults = []
    if len(failed) > judge.max_failed:
        counts = Counter(reason for _, reason in failures)
        left = counts.pop(NOT_SENT, 0)
        first = {reason: entry for entry, reason in sorted(failures, reverse=True)}
        reasons = [
            f"entry {first[reason]}{' and others' if count > 1 else ''}: {count} x {reason}"
            for reason, count in counts.most_common(3)
        ]
        faults.append(
            f"{len(failed)} got no reply (max_failed {judge.max_failed}): "
            + ", ".join(reasons + [f"{left} x {NOT_SENT}"] * (left > 0))
            + "; run again to send only the missing requests"
        )
    if len(unparsed) > judge.max_unparsed * answered:
        faults.append(
            f"{len(unparsed)} replies hold no readable score (max_unparsed {judge.max_unparsed:g}),"
            f" the first, about entry {unparsed[0].entry}: {unparsed[0].reply[:80]!r}; "
            f"{hint}change the prompt, or allow more"
        )
    if faults:
        entries = {verdict.entry for verdict in verdicts}
        without = failed | {verdict.entry for verdict in unparsed}
        raise UserError(
            f"judge {name}: {len(without)} of {len(entries)} entries have no score: "
            f"{'; '.join(faults)}; all replies are kept in {cache}"
        )


def _usage(judge: JudgeSettings, replies: Sequence[Reply]) -> dict[str, Any]:
    """Sum up tokens, time and cost of the replies; the same if all came from the cache."""
    question_tokens = sum(reply.question_tokens or 0 for reply in replies)
    answer_tokens = sum(reply.answer_tokens or 0 for reply in replies)
    prices = judge.prices if isinstance(judge, ServerJudge) else None
    cost = None
    if prices and all(reply.answer_tokens is not None for reply in replies):
        cost = (question_tokens * prices.input + answer_tokens * prices.output) / 1_000_000
    return {
        "backend": judge.backend,
        "digests": sorted({reply.digest for reply in replies if reply.digest}),
        "servers": sorted({reply.server for reply in replies if reply.server}),
        "answers": len(replies),
        "question_tokens": question_tokens,
        "answer_tokens": answer_tokens,
        "seconds": round(sum(reply.seconds for reply in replies), 3),
        "cost": None if cost is None else round(cost, 6),
    }


def _row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a row of scores.csv."""
    score = "" if verdict.score is None else f"{verdict.score:g}"
    return {**asdict(verdict), "score": score}


def _log_scores(verdicts: Sequence[Verdict]) -> None:
    """Log the chapter's two lines, and the rows that they leave out."""
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    log.info("Number of scores: %d of %d", len(scores), len(verdicts))
    if scores:
        log.info("Average score: %.2f", sum(scores) / len(scores))
    if again := sum(verdict.asked_again for verdict in verdicts):
        log.info("%d replies without a readable score asked again for the number alone", again)
    counts = Counter(verdict.status for verdict in verdicts)
    for status, meaning in (
        ("empty", "empty responses, scored 0"),
        ("unparsed", "replies without a readable score, left out"),
        ("failed", "requests without a reply, left out"),
        ("unrated", "responses without a rating, left out"),
    ):
        if counts[status]:
            log.info("%d %s", counts[status], meaning)

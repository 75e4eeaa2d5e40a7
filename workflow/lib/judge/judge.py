"""Judges the responses of one variant: a row for every entry, whatever happens (listing 7.11)."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from workflow.lib.data.entries import read_entries
from workflow.lib.judge.backends.base import NOT_ASKED, NoAnswerError
from workflow.lib.judge.backends.overlap import LABEL, overlap_score
from workflow.lib.judge.cache import Answer, AnswerCache, question_key
from workflow.lib.judge.parse import read_score
from workflow.lib.judge.preflight import UnreachableError, open_backend, preflight
from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.judge.runner import Question, ask_all
from workflow.lib.judge.scores import COLUMNS, Verdict
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import Judge, Ollama, OpenAI, Overlap

# Words and single marks: counted the same for every model, whatever its tokenizer, and in every
# script, so that the lengths of two variants can be compared.
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Names(TypedDict):
    """Which variant is judged by whom, as named in config.yaml."""

    model: str
    recipe: str
    judge: str


def judge_responses(
    responses: Path,
    judge: Judge,
    names: Names,
    output: Path,
    cache: Path,
    usage: Path | None = None,
) -> None:
    """Score every response and end with the chapter's two lines.

    Args:
        responses: JSON list of test entries with "model_response".
        judge: its settings.
        names: of the variant and the judge.
        output: CSV file to write, the columns those of `Verdict`; the same bytes again from the
            same answers.
        cache: JSON lines, kept between runs: answers already given.
        usage: JSON file to write: by which weights and servers the answers were given, how many
            tokens and seconds they took, and what they cost where the settings hold prices.

    Raises:
        UserError: the judge cannot be asked, or more entries than allowed have no score; what was
            answered stays in the cache.
    """
    entries = _read_responses(responses)
    if isinstance(judge, Overlap):
        log.info("%s: %s", names["judge"], LABEL)
        verdicts = [
            _verdict(names, number, entry, score=overlap_score(entry, entry["model_response"]))
            for number, entry in enumerate(entries)
        ]
        used = _usage(judge, [])
    else:
        verdicts, used = _ask(entries, judge, names, cache)
    write_csv(output, COLUMNS, map(_row, verdicts))
    if usage is not None:
        write_json(usage, used)
    _log_scores(verdicts)


def _read_responses(path: Path) -> Sequence[Mapping[str, str]]:
    """The entries, each with a response."""
    entries: Sequence[Mapping[str, Any]] = read_entries(path)
    for number, entry in enumerate(entries):
        if not isinstance(entry.get("model_response"), str):
            raise UserError(f"{path}: entry {number} has no text as 'model_response'")
    return entries


def _ask(
    entries: Sequence[Mapping[str, str]], judge: Ollama | OpenAI, names: Names, cache_path: Path
) -> tuple[list[Verdict], dict[str, Any]]:
    """The verdicts of a judge with a server, and what it took to get them."""
    prompt = load_judge_prompt(judge.prompt)
    cache = AnswerCache(cache_path)
    with closing(open_backend(judge, names["judge"], prompt)) as backend:
        unreachable = None
        try:
            digest = preflight(backend, names["judge"], judge.transport)["digest"]
        except UnreachableError as error:
            # With all the answers at hand, a changed way of reading them needs no server.
            last, unreachable = cache.last(), error
            digest = last.digest if last else None
        url = judge.url if isinstance(judge, Ollama) else judge.base_url
        questions = []
        for number, entry in enumerate(entries):
            text = prompt.question(entry)
            for repeat in range(judge.repeats):
                request = backend.request(text, repeat)
                key = question_key(judge.backend, url, digest, request, repeat)
                questions.append(Question(number, repeat, text, request, key))
        asked = [q for q in questions if entries[q.entry]["model_response"].strip()]
        if unreachable and any(cache.get(question.key) is None for question in asked):
            raise unreachable
        failures = ask_all(backend, asked, cache, judge, names["judge"])
    verdicts = []
    for question in questions:
        answer, score = cache.get(question.key), None
        if answer is not None:
            score = read_score(answer.reply, prompt.scale.worst, prompt.scale.best)
        entry, reply = entries[question.entry], answer.reply if answer else None
        verdict = _verdict(
            names, question.entry, entry, question=question, reply=reply, score=score
        )
        verdicts.append(verdict)
    _refuse_gaps(verdicts, failures, judge, names["judge"], cache_path)
    answers = {question.key: cache.get(question.key) for question in asked}
    return verdicts, _usage(judge, [a for a in answers.values() if a is not None])


def _verdict(
    names: Names,
    number: int,
    entry: Mapping[str, str],
    *,
    score: float | None,
    question: Question | None = None,
    reply: str | None = None,
) -> Verdict:
    """The row of one entry and repeat."""
    response = entry["model_response"]
    if not response.strip():
        score, status = 0, "empty"
    elif score is not None:
        status = "scored"
    else:
        status = "failed" if reply is None else "unparsed"
    return Verdict(
        **names,
        entry=number,
        repeat=question.repeat if question else 0,
        score=score,
        status=status,
        exact_match=int(response.strip() == entry["output"].strip()),
        response_tokens=len(_TOKEN.findall(response)),
        reply=reply or "",
        prompt_sha256=_sha256(question.text) if question else "",
        response_sha256=_sha256(response),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _refuse_gaps(
    verdicts: Sequence[Verdict],
    failures: Mapping[str, NoAnswerError],
    judge: Ollama | OpenAI,
    name: str,
    cache: Path,
) -> None:
    """Fail if more entries than allowed have no answer, or more answers no score."""
    failed = {verdict.entry for verdict in verdicts if verdict.status == "failed"}
    unparsed = [verdict for verdict in verdicts if verdict.status == "unparsed"]
    answered = sum(verdict.status in ("scored", "unparsed") for verdict in verdicts)
    faults = []
    if len(failed) > judge.max_failed:
        counts = Counter(failure.reason for failure in failures.values())
        left = counts.pop(NOT_ASKED, 0)
        reasons = counts.most_common(3) + [(NOT_ASKED, left)] * (left > 0)
        faults.append(
            f"{len(failed)} got no answer (max_failed {judge.max_failed}): "
            + ", ".join(f"{count} x {reason}" for reason, count in reasons)
            + "; run again to ask only for what is missing"
        )
    if len(unparsed) > judge.max_unparsed * answered:
        faults.append(
            f"{len(unparsed)} answers hold no readable score (max_unparsed {judge.max_unparsed:g}),"
            f" the first, about entry {unparsed[0].entry}: {unparsed[0].reply[:80]!r}; "
            "change the prompt, or allow more"
        )
    if faults:
        entries = {verdict.entry for verdict in verdicts}
        without = failed | {verdict.entry for verdict in unparsed}
        raise UserError(
            f"judge {name}: {len(without)} of {len(entries)} entries have no score: "
            f"{'; '.join(faults)}; all answers are kept in {cache}"
        )


def _usage(judge: Judge, answers: Sequence[Answer]) -> dict[str, Any]:
    """What the answers took, by their own records, so that it is the same when none is asked."""
    question_tokens = sum(answer.question_tokens or 0 for answer in answers)
    answer_tokens = sum(answer.answer_tokens or 0 for answer in answers)
    prices, cost = getattr(judge, "prices", None), None
    if prices and all(answer.answer_tokens is not None for answer in answers):
        cost = (question_tokens * prices.input + answer_tokens * prices.output) / 1_000_000
    return {
        "backend": judge.backend,
        "digests": sorted({answer.digest for answer in answers if answer.digest}),
        "servers": sorted({answer.server for answer in answers if answer.server}),
        "answers": len(answers),
        "question_tokens": question_tokens,
        "answer_tokens": answer_tokens,
        "seconds": round(sum(answer.seconds for answer in answers), 3),
        "cost": None if cost is None else round(cost, 6),
    }


def _row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a row of scores.csv."""
    score = "" if verdict.score is None else f"{verdict.score:g}"
    return {**asdict(verdict), "score": score}


def _log_scores(verdicts: Sequence[Verdict]) -> None:
    """The chapter's two lines, and what they leave out."""
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    log.info("Number of scores: %d of %d", len(scores), len(verdicts))
    if scores:
        log.info("Average score: %.2f", sum(scores) / len(scores))
    counts = Counter(verdict.status for verdict in verdicts)
    for status, meaning in (
        ("empty", "empty responses, scored 0"),
        ("unparsed", "answers without a readable score, left out"),
        ("failed", "questions without an answer, left out"),
    ):
        if counts[status]:
            log.info("%d %s", counts[status], meaning)

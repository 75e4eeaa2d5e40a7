"""Judges the responses of one variant: a row for every entry and repeat (listing 7.11)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

from workflow.lib.data.entries import read_responses
from workflow.lib.judge.asking import Answer, Question, ask_all, refuse_gaps
from workflow.lib.judge.backend import ServerBackend, ServerlessBackend, open_backend
from workflow.lib.judge.lengths import response_length
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.judge.rows import text_sha256
from workflow.lib.judge.scores import COLUMNS, Verdict
from workflow.lib.judge.usage import usage_of
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import JudgeSettings


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
                _unasked(names, number, entries[number], score, repeat)
                for number, scores in enumerate(backend.scores(entries))
                for repeat, score in enumerate(scores)
            ]
            used = usage_of(judge, [])
        else:
            verdicts, used = _ask(entries, backend, names, cache)
    write_csv(output, COLUMNS, map(_row, verdicts), recorded=True)
    if usage is not None:
        write_json(usage, used, recorded=True)
    _log_scores(verdicts)


def _ask(
    entries: Sequence[Mapping[str, str]], backend: ServerBackend[Any], names: Names, cache: Path
) -> tuple[list[Verdict], dict[str, Any]]:
    """Return the verdicts of a judge with a server, and the usage of that server."""
    judge, prompt, name = backend.settings, backend.prompt, names["judge"]
    assert isinstance(prompt, JudgePrompt)
    questions = [
        Question(number, repeat, text)
        for number, entry in enumerate(entries)
        for text in [prompt.question(entry)]
        for repeat in range(judge.repeats)
    ]
    asked = [q for q in questions if entries[q.entry]["model_response"].strip()]
    answers = ask_all(backend, asked, cache, name)
    answer_of = {(q.entry, q.repeat): a for q, a in zip(asked, answers.of, strict=True)}
    verdicts = [
        _verdict(
            names,
            question.entry,
            entries[question.entry],
            question=question,
            answer=answer_of.get((question.entry, question.repeat), Answer(None, None, False)),
        )
        for question in questions
    ]
    refuse_gaps(asked, answers, len(entries), judge, name, cache)
    return verdicts, usage_of(judge, answers.replies)


def _verdict(
    names: Names, number: int, entry: Mapping[str, str], *, question: Question, answer: Answer
) -> Verdict:
    """Return the row of one entry and repeat of a judge with a server."""
    score, status = answer.said, "scored"
    if not entry["model_response"].strip():
        score, status = 0, "empty"
    elif score is None:
        status = answer.status
    return replace(
        _unasked(names, number, entry, score, question.repeat),
        status=status,
        reply=answer.reply.text if answer.reply else "",
        prompt_sha256=text_sha256(question.text),
        asked_again=int(answer.asked_again),
    )


def _unasked(
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
        response_tokens=response_length(response),
        reply="",
        prompt_sha256="",
        response_sha256=text_sha256(response),
    )


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

"""Asks a judge all that it has not answered yet, several questions at a time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event
from typing import Any

from workflow.lib.judge.backends.base import NOT_ASKED, Backend, NoAnswerError, ask_patiently
from workflow.lib.judge.cache import AnswerCache
from workflow.lib.runtime.log import log, progress
from workflow.lib.settings.judges import Ollama, OpenAI

GIVE_UP_AFTER = 5  # questions in a row without an answer, if the settings allow no more


@dataclass(frozen=True)
class Question:
    """One asking of a judge.

    Args:
        entry: number of the entry, from 0.
        repeat: which asking about this entry, from 0.
        text: the rendered prompt.
        request: what is sent.
        key: names it in the cache.
    """

    entry: int
    repeat: int
    text: str
    request: Mapping[str, Any]
    key: str


def ask_all(
    backend: Backend,
    questions: Sequence[Question],
    cache: AnswerCache,
    judge: Ollama | OpenAI,
    name: str,
) -> dict[str, NoAnswerError]:
    """Put the answer to every question into the cache; what is there is not asked again.

    The first question goes alone and with more time, because the server loads the model for it.
    Once a failure shows that no question will be answered, or many in a row were not, the rest is
    not asked.

    Args:
        questions: all there are; the same question about two entries is asked once.
        judge: how many questions at a time, how patiently, and how many may fail.
        name: of the judge, before the progress bar.

    Returns:
        why a question has no answer, by its key.
    """
    missing = {question.key: question for question in questions if cache.get(question.key) is None}
    if known := len({question.key for question in questions}) - len(missing):
        log.info("%s: %d answers are in %s, %d to ask", name, known, cache.path, len(missing))
    patience = max(GIVE_UP_AFTER, judge.max_failed * judge.repeats + 1)
    in_a_row = 0
    stop = Event()
    failures: dict[str, NoAnswerError] = {}

    def ask(question: Question, timeout: float) -> tuple[Question, NoAnswerError | None]:
        nonlocal in_a_row  # counted without a lock: a lost count only delays giving up
        try:
            answer = ask_patiently(
                lambda: backend.ask(question.request, timeout), judge.transport, stop
            )
        except NoAnswerError as failure:
            in_a_row += 1
            if failure.hopeless or in_a_row >= patience:
                stop.set()
            return question, failure
        in_a_row = 0
        # Written here, in the thread, so that an answer is on the disk before anything else.
        cache.add(question.key, answer)
        return question, None

    def results() -> Iterator[tuple[Question, NoAnswerError | None]]:
        first, *rest = missing.values()
        yield ask(first, judge.transport.first_timeout)
        futures = [pool.submit(ask, question, judge.transport.timeout) for question in rest]
        yield from (future.result() for future in as_completed(futures))

    if not missing:
        return failures
    with ThreadPoolExecutor(judge.transport.concurrency) as pool:
        try:
            for question, failure in progress(results(), name, total=len(missing)):
                if failure is not None:
                    failures[question.key] = failure
                    if failure.reason != NOT_ASKED:
                        log.info("%s: entry %d has no answer: %s", name, question.entry, failure)
        finally:  # after ctrl-C the pool still waits for answers under way, and they are kept
            stop.set()
    return failures

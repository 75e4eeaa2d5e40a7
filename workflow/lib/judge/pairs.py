"""Compares the responses of one variant with those of a baseline, each pair in both orders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import read_responses
from workflow.lib.judge.asking import Answer, Question, ask_all, refuse_gaps
from workflow.lib.judge.backend import ServerBackend, ServerlessBackend, Verdicts, open_backend
from workflow.lib.judge.judge import Names
from workflow.lib.judge.lengths import response_length
from workflow.lib.judge.prompt import PairPrompt
from workflow.lib.judge.scores import text_sha256
from workflow.lib.judge.usage import usage_of
from workflow.lib.judge.wins import (
    COLUMNS,
    FIRST,
    SECOND,
    TIE,
    Win,
    outcome_of,
    row_of,
    same_text,
)
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import JudgeSettings

Entries = Sequence[Mapping[str, str]]
Pairs = Sequence[tuple[str, str]]  # of each entry, the responses of variant and baseline
_SAME = Answer(None, TIE, False)  # of the same text twice


def judge_pairs(
    responses: Path,
    baseline: Path | None,
    judge: JudgeSettings,
    names: Names,
    baseline_name: str,
    output: Path,
    cache: Path,
    usage: Path,
) -> None:
    """Compare every response with the baseline's in both orders, and log the win rate.

    Two responses of the same text are a tie without a question, so the baseline compared with
    itself asks none.

    Args:
        responses: JSON list of test entries with "model_response".
        baseline: the same of the baseline; None for the reference answers.
        judge: an entry of `judges`, of kind pairwise.
        names: of the variant and the judge.
        baseline_name: as in wins.csv.
        output: CSV file to write, the columns those of `Win`; the same bytes again from the same
            replies.
        cache: JSON lines, kept between runs: replies that were received.
        usage: JSON file to write, as for scores.

    Raises:
        UserError: the judge cannot work, or more entries than allowed have no verdict; replies
            stay in the cache. Or the baseline answers other entries.
    """
    entries = read_responses(responses)
    pairs = response_pairs(entries, responses, baseline)
    repeats, questions = 1, dict[tuple[int, int], str]()
    with closing(open_backend(judge, names["judge"])) as backend:
        if isinstance(backend, ServerlessBackend):
            log.info("%s: %s", names["judge"], judge.label)
            answers, used = dict[_Place, Answer](), usage_of(judge, [])
            if baseline_name != f"{names['model']}/{names['recipe']}":
                verdicts = backend.verdicts(entries, pairs)
                repeats = len(verdicts[0])
                answers = _unasked(verdicts)
        else:
            repeats = backend.settings.repeats
            answers, questions, used = _ask(entries, pairs, backend, names["judge"], cache)
    wins = []
    for number, repeat in product(range(len(entries)), range(repeats)):
        both = [answers.get((number, repeat, order), _SAME) for order in (FIRST, SECOND)]
        question = questions.get((number, repeat), "")
        wins.append(_win(names, baseline_name, number, repeat, pairs[number], both, question))
    write_csv(output, COLUMNS, map(row_of, wins), recorded=True)
    write_json(usage, used, recorded=True)
    _log_wins(wins)


def response_pairs(entries: Entries, responses: Path, baseline: Path | None) -> Pairs:
    """Return the two responses to every entry.

    Raises:
        UserError: the baseline answers other entries.
    """
    own = [entry["model_response"] for entry in entries]
    if baseline is None:
        return list(zip(own, (entry["output"] for entry in entries), strict=True))
    others = read_responses(baseline)
    asked = [
        [(e["instruction"], e["input"], e["output"]) for e in each] for each in (entries, others)
    ]
    if asked[0] != asked[1]:
        raise UserError(
            f"{baseline}: answers other test entries than {responses}; delete both and run again"
        )
    return list(zip(own, (entry["model_response"] for entry in others), strict=True))


_Place = tuple[int, int, str]  # entry, repeat, and whether the variant stands first or second


def _unasked(verdicts: Sequence[Sequence[Verdicts]]) -> dict[_Place, Answer]:
    """Return the verdicts of a judge without a server as answers."""
    return {
        (number, repeat, order): Answer(None, said, False)
        for number, repeats in enumerate(verdicts)
        for repeat, both in enumerate(repeats)
        for order, said in zip((FIRST, SECOND), both, strict=True)
    }


def _ask(
    entries: Entries, pairs: Pairs, backend: ServerBackend[Any], name: str, cache: Path
) -> tuple[dict[_Place, Answer], dict[tuple[int, int], str], dict[str, Any]]:
    """Return the answers of a judge with a server, its first questions, and its usage."""
    judge, prompt, places, questions = backend.settings, backend.prompt, [], []
    assert isinstance(prompt, PairPrompt)
    for number, pair in enumerate(pairs):
        if same_text(*pair):
            continue
        texts = {
            FIRST: prompt.question(entries[number], *pair),
            SECOND: prompt.question(entries[number], *pair[::-1]),
        }
        for repeat, order in product(range(judge.repeats), texts):
            places.append((number, repeat, order))
            questions.append(Question(number, repeat, texts[order]))
    if not questions:
        return {}, {}, usage_of(judge, [])
    answers = ask_all(backend, questions, cache, name)
    refuse_gaps(questions, answers, len(entries), judge, name, cache)
    firsts = {
        (number, repeat): question.text
        for (number, repeat, order), question in zip(places, questions, strict=True)
        if order == FIRST
    }
    found = dict(zip(places, answers.of, strict=True))
    return found, firsts, usage_of(judge, answers.replies)


def _win(
    names: Names,
    baseline: str,
    number: int,
    repeat: int,
    pair: tuple[str, str],
    both: Sequence[Answer],
    question: str,
) -> Win:
    """Return the row of one entry and repeat.

    Args:
        both: what the judge said with the variant's response first and with it second.
        question: with the variant's response first; empty without a server.
    """
    first, second = (
        _of_variant(answer.said, order) for answer, order in zip(both, (FIRST, SECOND), strict=True)
    )
    missing = [answer.status for answer in both if answer.said is None]
    status = "judged"
    if same_text(*pair):
        status, first, second = "same", "", ""
    elif question and missing:  # a model on a server has to answer in both orders
        status = "failed" if "failed" in missing else missing[0]
    if not question and len(missing) == len(both):
        status = "unrated"
    return Win(
        **names,
        baseline=baseline,
        entry=number,
        repeat=repeat,
        verdict_first=first,
        verdict_second=second,
        outcome={"same": 0.5, "judged": outcome_of(first, second)}.get(status),
        status=status,
        response_tokens=response_length(pair[0]),
        baseline_tokens=response_length(pair[1]),
        reply_first=both[0].reply.text if both[0].reply else "",
        reply_second=both[1].reply.text if both[1].reply else "",
        asked_again=sum(answer.asked_again for answer in both),
        prompt_sha256=text_sha256(question) if question else "",
        response_sha256=text_sha256(pair[0]),
        baseline_sha256=text_sha256(pair[1]),
    )


def _of_variant(said: str | None, order: str) -> str:
    """Return a verdict on two responses as that of the variant, blank where it is not read.

    Args:
        said: which of both is better, or tie.
        order: where the variant's response stood.
    """
    if said is None:
        return ""
    return "tie" if said == TIE else "win" if said == order else "loss"


def _log_wins(wins: Sequence[Win]) -> None:
    """Log the win rate, and what is counted beside it."""
    outcomes = [win.outcome for win in wins if win.outcome is not None]
    log.info("Number of comparisons: %d of %d", len(outcomes), len(wins))
    if outcomes:
        log.info("Win rate: %.2f", 100 * sum(outcomes) / len(outcomes))
    if again := sum(win.asked_again for win in wins):
        log.info("%d replies without a readable verdict asked again for the verdict alone", again)
    if disagree := sum(win.disagrees for win in wins):
        log.info("%d verdicts changed with the order, half a win each", disagree)
    counts = Counter(win.status for win in wins)
    for status, meaning in (
        ("same", "pairs of the same text, ties without a question"),
        ("unparsed", "comparisons without a readable verdict in both orders, left out"),
        ("failed", "comparisons without a reply in both orders, left out"),
        ("unrated", "pairs without a rating, left out"),
    ):
        if counts[status]:
            log.info("%d %s", counts[status], meaning)

"""Which answers are worth reading first, and what is shown of an answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from workflow.lib.report.findings import same_test
from workflow.lib.report.format import points
from workflow.lib.report.runs import Run

SHOWN = 3  # answers of each sort
_NUMBER_ALONE = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")


@dataclass(frozen=True)
class Judgement:
    """What one judge says about one answer.

    Args:
        score: for the eye; a word where there is none.
        share: 0 to 1, for its colour, or None.
        replies: the judge's own words, where it uses any besides the number.
    """

    judge: str
    score: str
    share: float | None
    replies: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """One response to one test entry and all that was said about it."""

    run: Run
    number: int
    judgements: Sequence[Judgement]

    @property
    def entry(self) -> Any:
        """The test entry with its "model_response"."""
        return self.run.entries[self.number]

    @property
    def exact(self) -> bool:
        """Whether it is the reference, word for word."""
        return self.run.exact(self.number)


@dataclass(frozen=True)
class Gallery:
    """The answers of one variant to read first, by its first judge."""

    run: Run
    judge: str
    best: Sequence[Answer]
    worst: Sequence[Answer]


@dataclass(frozen=True)
class Dispute:
    """An entry on which opinions differ most, and in what."""

    why: str
    answers: Sequence[Answer]


def answer(run: Run, number: int) -> Answer:
    """One response with the words of all judges."""
    return Answer(run, number, [_judgement(run, number, judge) for judge in run.judged])


def galleries(runs: Sequence[Run], judge: str) -> list[Gallery]:
    """Best and worst answers of every variant; among equals, those to the longer references."""
    found = []
    for run in runs:
        scores = run.judged[judge].scores
        long = {number: len(run.entries[number]["output"]) for number in scores}
        best = sorted(scores, key=lambda n: (-scores[n], -long[n], n))[:SHOWN]
        worst = sorted(scores.keys() - set(best), key=lambda n: (scores[n], -long[n], n))[:SHOWN]
        found.append(
            Gallery(run, judge, [answer(run, n) for n in best], [answer(run, n) for n in worst])
        )
    return found


def disputes(runs: Sequence[Run], judges: Sequence[str]) -> list[Dispute]:
    """Where judges differ most about an answer, or else one judge from itself, or variants."""
    if len(judges) > 1:
        return _largest(runs, _between_judges, "The judges are {} points apart")
    repeated = _largest(runs, _between_repeats, f"{judges[0]} spreads {{}} points over its repeats")
    return repeated or _between_variants(runs, judges[0])


def _judgement(run: Run, number: int, judge: str) -> Judgement:
    scored = run.judged[judge]
    verdicts = scored.verdicts.get(number, [])
    replies = [v.reply for v in verdicts if v.reply and not _NUMBER_ALONE.fullmatch(v.reply)]
    replies = list(dict.fromkeys(replies))
    if number not in scored.scores:
        status = verdicts[0].status if verdicts else "not judged"
        return Judgement(judge, status, None, replies)
    score = scored.scores[number]
    return Judgement(judge, f"{score:.0f}", score / 100, replies)


def _largest(runs: Sequence[Run], apart: Callable[[Run, int], float], why: str) -> list[Dispute]:
    """The answers on which some distance is largest, and not zero."""
    distances = [(apart(run, n), run, n) for run in runs for n in range(len(run.entries))]
    distances = sorted((d for d in distances if d[0] > 0), key=lambda d: -d[0])[:SHOWN]
    return [
        Dispute(why.format(points(distance, 0)), [answer(run, number)])
        for distance, run, number in distances
    ]


def _between_judges(run: Run, number: int) -> float:
    scores = [s.scores[number] for s in run.judged.values() if number in s.scores]
    return max(scores) - min(scores) if scores else 0


def _between_repeats(run: Run, number: int) -> float:
    [scored] = run.judged.values()
    scores = [v.score for v in scored.verdicts.get(number, []) if v.score is not None]
    return stdev(scores) if len(scores) > 1 else 0


def _between_variants(runs: Sequence[Run], judge: str) -> list[Dispute]:
    """Entries that finetuned variants answered most differently well."""
    found = []
    for group in same_test([run for run in runs if run.tuned]):
        for number in range(len(group[0].entries)):
            scored = [run for run in group if number in run.judged[judge].scores]
            scored.sort(key=lambda run: -run.judged[judge].scores[number])
            if len(scored) > 1:
                best, worst = (run.judged[judge].scores[number] for run in (scored[0], scored[-1]))
                found.append((best - worst, scored[0], scored[-1], number))
    found = sorted((row for row in found if row[0] > 0), key=lambda row: -row[0])[:SHOWN]
    return [
        Dispute(
            f"Two variants are {points(distance, 0)} points apart",
            [answer(one, number), answer(other, number)],
        )
        for distance, one, other, number in found
    ]

"""The responses worth reading first: each variant's best and worst, and the most disputed."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from workflow.lib.report.comparison import by_score, by_test_set
from workflow.lib.report.format import points
from workflow.lib.report.variants import MANY, Variant

SHOWN = 3  # responses per list
# Distance in points, and the responses by variant and number of the entry.
_Distances = list[tuple[float, list[tuple[Variant, int]]]]
_NUMBER_ALONE = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")


@dataclass(frozen=True)
class Judgment:
    """The verdict of one judge on one response.

    Args:
        score: as text; the status where there is no score.
        share: 0 to 1, for the color, or None without a score.
        replies: texts of the judge that hold more than a number.
    """

    judge: str
    score: str
    share: float | None
    replies: Sequence[str]


@dataclass(frozen=True)
class Response:
    """One response to one test entry with all judgments of it.

    Args:
        number: of the test entry, from 0.
    """

    variant: Variant
    number: int
    judgments: Sequence[Judgment]

    @property
    def entry(self) -> Any:
        """The test entry with its "model_response"."""
        return self.variant.entries[self.number]

    @property
    def exact(self) -> bool:
        """Whether it equals the reference."""
        return self.variant.exact(self.number)

    @property
    def cut_off(self) -> bool:
        """Whether it ended for want of tokens, as far as that is recorded."""
        return self.number in (self.variant.cut_off or ())


@dataclass(frozen=True)
class Gallery:
    """Best and worst responses of one variant by one judge."""

    variant: Variant
    judge: str
    best: Sequence[Response]
    worst: Sequence[Response]


@dataclass(frozen=True)
class Dispute:
    """Responses to one entry whose scores are far apart, and between whom."""

    why: str
    responses: Sequence[Response]


def judged_response(variant: Variant, number: int) -> Response:
    """Return the response to one test entry with the judgments of all judges."""
    variant = variant.shown
    return Response(
        variant, number, [_judgment(variant, number, judge) for judge in variant.judged]
    )


def given_responses(
    variants: Sequence[Variant], number: int
) -> list[tuple[Response, list[Variant]]]:
    """Return the responses to one test entry, each with the variants that gave it.

    Of more than MANY variants, responses with the same text and the same judgments are one, and
    those that most variants gave stand first.

    Args:
        variants: tested on the same entries.
    """
    found: dict[object, tuple[Response, list[Variant]]] = {}
    for place, variant in enumerate(variants):
        given = judged_response(variant, number)
        text = given.entry["model_response"]
        judged = [(j.judge, j.score, j.share, *j.replies) for j in given.judgments]
        alike = (text, given.cut_off, *judged) if len(variants) > MANY else place
        found.setdefault(alike, (given, []))[1].append(variant)
    return sorted(found.values(), key=lambda row: -len(row[1]))


def galleries(variants: Sequence[Variant], judge: str) -> list[Gallery]:
    """Pick the best and worst responses of every variant; ties go to the longer reference.

    More than MANY variants are in the order of their scores, as the page shows only so many.
    """
    if len(variants) > MANY:
        variants = by_score(variants, judge)
    found = []
    for variant in (each.shown for each in variants):
        scores = variant.judged[judge].scores
        length = {number: len(variant.entries[number]["output"]) for number in scores}
        best = sorted(scores, key=lambda n: (-scores[n], -length[n], n))[:SHOWN]
        worst = sorted(scores.keys() - set(best), key=lambda n: (scores[n], -length[n], n))[:SHOWN]
        picked = ([judged_response(variant, number) for number in half] for half in (best, worst))
        found.append(Gallery(variant, judge, *picked))
    return found


def disputes(
    variants: Sequence[Variant], judges: Sequence[str], people: Collection[str] = ()
) -> list[Dispute]:
    """Pick where judges differ most, or else one judge's repeats, or else variants.

    Args:
        people: those of the judges whose repeats are raters.
    """
    variants = [variant.shown for variant in variants]
    each = [(variant, number) for variant in variants for number in range(len(variant.entries))]
    if len(judges) > 1:
        between = [(_between_judges(*one), [one]) for one in each]
        return _largest("The judges are {} points apart", between)
    between = [(_between_repeats(*one), [one]) for one in each]
    [judge] = judges
    why = f"{judge} spreads {{}} points over its repeats"
    if judge in people:
        why = f"The raters of {judge} are {{}} points apart (standard deviation)"
    repeated = _largest(why, between)
    return repeated or _largest(
        "Two variants are {} points apart", _between_variants(variants, judges[0])
    )


def _judgment(variant: Variant, number: int, judge: str) -> Judgment:
    judging = variant.judged[judge]
    verdicts = judging.verdicts.get(number, [])
    replies = [v.reply for v in verdicts if v.reply and not _NUMBER_ALONE.fullmatch(v.reply)]
    replies = list(dict.fromkeys(replies))
    if number not in judging.scores:
        status = verdicts[0].status if verdicts else "not judged"
        return Judgment(judge, status, None, replies)
    score = judging.scores[number]
    return Judgment(judge, f"{score:.0f}", score / 100, replies)


def _largest(why: str, found: _Distances) -> list[Dispute]:
    """Return the largest distances above zero as disputes; `why` has a placeholder for them."""
    largest = sorted((row for row in found if row[0] > 0), key=lambda row: -row[0])[:SHOWN]
    return [
        Dispute(why.format(points(distance, 0)), [judged_response(*one) for one in responses])
        for distance, responses in largest
    ]


def _between_judges(variant: Variant, number: int) -> float:
    scores = [j.scores[number] for j in variant.judged.values() if number in j.scores]
    return max(scores) - min(scores) if scores else 0


def _between_repeats(variant: Variant, number: int) -> float:
    [judging] = variant.judged.values()
    scores = [v.score for v in judging.verdicts.get(number, []) if v.score is not None]
    return stdev(scores) if len(scores) > 1 else 0


def _between_variants(variants: Sequence[Variant], judge: str) -> _Distances:
    """Return the distance between the best and the worst finetuned variant on every entry."""
    found: _Distances = []
    for group in by_test_set([variant for variant in variants if variant.finetuned]):
        for number in range(len(group[0].entries)):
            scored = [
                (variant.judged[judge].scores[number], variant)
                for variant in group
                if number in variant.judged[judge].scores
            ]
            if scored:
                scored.sort(key=lambda row: -row[0])
                (high, best), (low, worst) = scored[0], scored[-1]
                found.append((high - low, [(best, number), (worst, number)]))
    return found

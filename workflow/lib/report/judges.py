"""The agreement of the judges, and whether they favor long responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from workflow.lib.report.format import points, strength
from workflow.lib.report.statistics import Agreement, agreement, rank_correlation
from workflow.lib.report.variants import Variant

_ALL, _NOT_EXACT = "all answers", "without exact matches"


@dataclass(frozen=True)
class JudgePair:
    """Two judges on the same responses.

    Args:
        rows: which responses, and how well the judges agree on them.
        words: the first rows as a sentence.
    """

    first: str
    second: str
    rows: Sequence[tuple[str, Agreement]]
    words: str


@dataclass(frozen=True)
class Lengths:
    """Length and score of each response of a variant, and their rank correlation."""

    variant: Variant
    lengths: Sequence[int]
    scores: Sequence[float]
    correlation: float | None

    @property
    def words(self) -> str:
        """The correlation in a sentence."""
        if self.correlation is None:
            return "No correlation can be computed: scores or lengths are all the same."
        if abs(self.correlation) < 0.2:
            return f"Length hardly matters (rank correlation {points(self.correlation, 2)})."
        side = "better" if self.correlation > 0 else "worse"
        return f"Longer answers score {side} (rank correlation {points(self.correlation, 2)})."


def compare_judges(variants: Sequence[Variant], judges: Sequence[str]) -> list[JudgePair]:
    """Compare every two judges: on all responses, on those not exact, and by variant."""
    pairs = []
    for first, second in combinations(judges, 2):
        shared = [
            (variant, entry)
            for variant in variants
            for entry in variant.judged[first].scores
            if entry in variant.judged[second].scores
        ]
        not_exact = [(variant, entry) for variant, entry in shared if not variant.exact(entry)]
        subsets = [(_ALL, shared), (_NOT_EXACT, not_exact)]
        subsets += [(v.short, [row for row in shared if row[0] is v]) for v in variants]
        rows = [
            (label, result)
            for label, responses in subsets
            if (
                result := agreement(
                    [variant.judged[first].scores[entry] for variant, entry in responses],
                    [variant.judged[second].scores[entry] for variant, entry in responses],
                )
            )
        ]
        if rows:
            pairs.append(JudgePair(first, second, rows, _in_words(first, second, dict(rows))))
    return pairs


def score_lengths(variants: Sequence[Variant], judge: str) -> list[Lengths]:
    """Relate the length of each scored response to its score, by variant."""
    found = []
    for variant in variants:
        judging = variant.judged[judge]
        scored = [
            (length, judging.scores[entry])
            for entry, verdicts in judging.verdicts.items()
            if entry in judging.scores and (length := verdicts[0].response_tokens) is not None
        ]
        lengths, scores = [length for length, _ in scored], [score for _, score in scored]
        found.append(Lengths(variant, lengths, scores, rank_correlation(lengths, scores)))
    return found


def _in_words(first: str, second: str, rows: Mapping[str, Agreement]) -> str:
    """Return how well two judges agree as two sentences."""
    result, not_exact = rows[_ALL], rows.get(_NOT_EXACT)
    together = "their correlation cannot be computed, as one of them never varies"
    if result.pearson is not None:
        direction = "" if result.pearson >= 0 else ", but in opposite directions"
        together = (
            f"their scores correlate {strength(result.pearson)}{direction} "
            f"(Pearson {points(result.pearson, 2)}"
        )
        if not_exact and not_exact.pearson is not None:
            together += f", without exact matches {points(not_exact.pearson, 2)}"
        together += ")"
    higher, lower = (first, second) if result.bias >= 0 else (second, first)
    return (
        f"On {result.entries} answers scored by both, {together}. {higher} gives "
        f"{points(abs(result.bias))} points more than {lower} on average, and on a single answer "
        f"they are {points(result.mean_absolute_error)} points apart."
    )

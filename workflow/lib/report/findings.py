"""What the scores say: comparisons, kinds of instructions, judges beside each other, lengths."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from workflow.lib.report.format import chance, points, strength
from workflow.lib.report.runs import Run
from workflow.lib.report.statistics import (
    MARGIN,
    Agreement,
    Comparison,
    Interval,
    agreement,
    compare,
    holm,
    mean_interval,
    rank_correlation,
)

SIGNIFICANT = 0.05
FEWEST_OF_A_KIND = 3  # fewer entries are not worth a sentence
MOST_SENTENCES = 6  # up to as many pairs, each gets its sentence
_ALL, _NOT_EXACT = "all answers", "without exact matches"


@dataclass(frozen=True)
class Pair:
    """Two variants on the same entries, the better one first.

    Args:
        result: first minus second.
        p_value: corrected for the number of comparisons.
        comparisons: how many are made by this judge.
        kinds: difference and number of entries by kind of instruction, largest first.
        spoken: whether it gets a sentence, or a row of the table alone.
    """

    first: Run
    second: Run
    result: Comparison
    p_value: float
    comparisons: int
    kinds: Sequence[tuple[str, float, int]]
    spoken: bool

    @property
    def clear(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.p_value < SIGNIFICANT

    @property
    def claim(self) -> str:
        """What follows the first name and precedes the second."""
        if not points(self.result.difference).strip("−0."):
            return "scores the same as"
        return f"scores {points(self.result.difference)} points more than"

    @property
    def counts(self) -> str:
        """Wins, losses and ties in words."""
        result = self.result
        return (
            f"Better on {result.wins} of {result.entries} entries, worse on {result.losses}, "
            f"within {MARGIN:g} points on {result.ties}."
        )

    @property
    def odds(self) -> str:
        """How seriously to take the difference."""
        p_value = self.result.p_value
        if not self.result.difference:
            return "Nothing here tells one from the other."
        if self.clear:
            verdict = "this is more than luck"
        elif p_value < SIGNIFICANT:
            verdict = f"among {self.comparisons} comparisons, that is no surprise"
        else:
            verdict = "these entries do not show which is better"
        return (
            f"If both were equally good, so wide a gap would turn up {chance(p_value)}: {verdict}."
        )

    @property
    def by_kind(self) -> str:
        """On which kinds of instruction the difference is largest and smallest."""
        kinds = [kind for kind in self.kinds if kind[2] >= FEWEST_OF_A_KIND]
        if len(kinds) < 2 or kinds[0][1] == kinds[-1][1]:
            return ""
        (most, gain, number), (least, loss, other) = kinds[0], kinds[-1]
        where = "least on" if loss >= 0 else "furthest behind on"
        return (
            f"Furthest ahead on {most} ({points(gain)} points, {number} entries), {where} {least} "
            f"({points(abs(loss))} points, {other} entries)."
        )


@dataclass(frozen=True)
class KindRow:
    """Mean scores of one kind of instruction: a cell a variant, (mean, entries, interval)."""

    kind: str
    entries: int
    cells: Sequence[tuple[float | None, int, Interval | None]]


@dataclass(frozen=True)
class Judges:
    """Two judges on the same answers.

    Args:
        rows: what was counted, and how well they agree on it.
        words: the first rows in a sentence.
    """

    first: str
    second: str
    rows: Sequence[tuple[str, Agreement]]
    words: str


@dataclass(frozen=True)
class Lengths:
    """Length and score of each answer of a variant, and what they have to do with each other."""

    run: Run
    lengths: Sequence[int]
    scores: Sequence[float]
    correlation: float | None

    @property
    def words(self) -> str:
        """The correlation in a sentence."""
        if self.correlation is None:
            return "No relation can be seen: scores or lengths are all the same."
        if abs(self.correlation) < 0.2:
            return f"Length hardly matters (rank correlation {points(self.correlation, 2)})."
        side = "better" if self.correlation > 0 else "worse"
        return f"Longer answers score {side} (rank correlation {points(self.correlation, 2)})."


def same_test(runs: Sequence[Run]) -> list[list[Run]]:
    """The variants grouped by what they were asked, in order."""
    groups: dict[object, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.test].append(run)
    return list(groups.values())


def compare_runs(runs: Sequence[Run], judge: str) -> list[Pair]:
    """Every two variants that answered the same entries, by one judge, best first.

    Those after finetuning beside each other and beside their own model before it are put into
    words; with many variants, only what concerns the best.
    """
    found = []
    for group in same_test(runs):
        ranked = sorted(group, key=lambda run: -(run.judged[judge].number("mean") or 0))
        several = len(list(combinations([run for run in group if run.tuned], 2)))
        best = next((run for run in ranked if run.tuned), ranked[0])
        for one, other in combinations(ranked, 2):
            alike = one.tuned == other.tuned and (one.tuned or not best.tuned)
            spoken = (alike and (several <= MOST_SENTENCES or best in (one, other))) or (
                one.model == other.model and one.tuned != other.tuned
            )
            a, b = one.judged[judge].scores, other.judged[judge].scores
            if (result := compare(a, b)) and result.difference < 0:  # entries are not all shared
                one, other, result = other, one, compare(b, a)
            if result:
                found.append((one, other, result, spoken))
    corrected = holm([result.p_value for _, _, result, _ in found])
    return [
        Pair(one, other, result, p_value, len(found), _kind_differences(one, other, judge), spoken)
        for (one, other, result, spoken), p_value in zip(found, corrected, strict=True)
    ]


def score_kinds(runs: Sequence[Run], judge: str) -> list[KindRow]:
    """Mean score by kind of instruction; nothing if the data set names no kinds.

    Args:
        runs: that answered the same entries.
    """
    numbers = _entries_by_kind(runs[0])
    rows = []
    for kind, entries in numbers.items():
        cells = []
        for run in runs:
            scores = run.judged[judge].scores
            values = [scores[entry] for entry in entries if entry in scores]
            mean = fmean(values) if values else None
            cells.append((mean, len(values), mean_interval(values)))
        rows.append(KindRow(kind, len(entries), cells))
    return rows


def compare_judges(runs: Sequence[Run], judges: Sequence[str]) -> list[Judges]:
    """Every two judges beside each other: all answers, those not exact, and by variant."""
    found = []
    for first, second in combinations(judges, 2):
        shared = [
            (run, entry)
            for run in runs
            for entry in run.judged[first].scores
            if entry in run.judged[second].scores
        ]
        counted = [(_ALL, shared), (_NOT_EXACT, _not_exact(shared))]
        counted += [(run.name, [pair for pair in shared if pair[0] is run]) for run in runs]
        rows = [
            (label, result)
            for label, answers in counted
            if (result := _agreement(answers, first, second))
        ]
        if rows:
            found.append(Judges(first, second, rows, _agree_in_words(first, second, dict(rows))))
    return found


def score_lengths(runs: Sequence[Run], judge: str) -> list[Lengths]:
    """Whether a judge likes long answers."""
    found = []
    for run in runs:
        scored = run.judged[judge]
        counted = {
            e: v[0].response_tokens for e, v in scored.verdicts.items() if e in scored.scores
        }
        entries = [entry for entry, length in counted.items() if length is not None]
        lengths = [counted[entry] or 0 for entry in entries]
        scores = [scored.scores[entry] for entry in entries]
        found.append(Lengths(run, lengths, scores, rank_correlation(lengths, scores)))
    return found


def _entries_by_kind(run: Run) -> Mapping[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(run.entries):
        if kind := entry.get("kind"):
            numbers[str(kind)].append(number)
    return dict(sorted(numbers.items()))


def _kind_differences(one: Run, other: Run, judge: str) -> list[tuple[str, float, int]]:
    a, b = one.judged[judge].scores, other.judged[judge].scores
    found = []
    for kind, entries in _entries_by_kind(one).items():
        if differences := [a[entry] - b[entry] for entry in entries if entry in a and entry in b]:
            found.append((kind, fmean(differences), len(differences)))
    return sorted(found, key=lambda row: -row[1])


def _not_exact(answers: Sequence[tuple[Run, int]]) -> list[tuple[Run, int]]:
    return [(run, entry) for run, entry in answers if not run.exact(entry)]


def _agreement(answers: Sequence[tuple[Run, int]], first: str, second: str) -> Agreement | None:
    return agreement(
        [run.judged[first].scores[entry] for run, entry in answers],
        [run.judged[second].scores[entry] for run, entry in answers],
    )


def _agree_in_words(first: str, second: str, rows: Mapping[str, Agreement]) -> str:
    result, not_exact = rows[_ALL], rows.get(_NOT_EXACT)
    together = "their relation cannot be computed, as one of them never varies"
    if result.pearson is not None:
        direction = "" if result.pearson >= 0 else ", but in opposite directions"
        together = (
            f"their scores go together {strength(result.pearson)}{direction} "
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

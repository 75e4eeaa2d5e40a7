"""Variants compared by the scores of one judge: entry by entry, and by kind of instruction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from workflow.lib.report.format import chance, points
from workflow.lib.report.replicates import MARGIN, Comparison, compare, spread_of_runs
from workflow.lib.report.statistics import Interval, holm, mean_interval
from workflow.lib.report.variants import MANY, Variant

SIGNIFICANT = 0.05
FEWEST_OF_A_KIND = 3  # fewer entries are not worth a sentence
MOST_SENTENCES = 6  # up to this many pairs, each gets a sentence


@dataclass(frozen=True)
class Pair:
    """Two variants on the same entries, the better one first.

    Args:
        result: first minus second.
        p_value: corrected for the number of comparisons; None where there was no test.
        comparisons: number of comparisons made with this judge.
        kinds: kind of instruction, difference and number of entries, largest difference first; only
            of a pair that gets a sentence.
        spoken: whether it gets a sentence besides its row of the table.
        listed: whether it has a row of the table on the page; pairs.csv has a row of each.
        seed_spread: standard deviation, in points, between the runs of variants with the same
            test entries that have several seeds; None if there are none.
    """

    first: Variant
    second: Variant
    result: Comparison
    p_value: float | None
    comparisons: int
    kinds: Sequence[tuple[str, float, int]]
    spoken: bool
    listed: bool
    seed_spread: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the corrected p-value is below the significance level."""
        return self.p_value is not None and self.p_value < SIGNIFICANT

    @property
    def claim(self) -> str:
        """Words between the first name and the second."""
        if not points(self.result.difference).strip("−0."):
            return "scores the same as"
        return f"scores {points(self.result.difference)} points more than"

    @property
    def counts(self) -> str:
        """Wins, losses and ties as a sentence."""
        result = self.result
        return (
            f"Better on {result.wins} of {result.entries} entries, worse on {result.losses}, "
            f"within {MARGIN:g} points on {result.ties}."
        )

    @property
    def odds(self) -> str:
        """The p-value as a sentence."""
        p_value = self.result.p_value
        if not self.result.difference:
            return "Nothing here tells one from the other."
        if p_value is None:
            return "That is too little to tell whether it would be so on other entries."
        if self.clear and self.result.covers_seeds:
            verdict = "this is more than luck"
        elif self.clear:
            verdict = "this is more than luck in the choice of entries"
        elif p_value < SIGNIFICANT:
            verdict = f"among {self.comparisons} comparisons, that is no surprise"
        else:
            verdict = "these entries do not show which is better"
        return (
            f"If both were equally good, so wide a gap would turn up {chance(p_value)}: {verdict}."
            f"{self._seeds}"
        )

    @property
    def _seeds(self) -> str:
        """What is known of the luck of the seed, where the test does not cover it."""
        if self.result.covers_seeds or not self.clear:
            return ""
        if self.seed_spread is None:
            return " Each was run with one seed, so luck in training may explain it as well."
        return (
            " Each was run with one seed; between seeds, scores on these entries spread by "
            f"{points(self.seed_spread)} points."
        )

    @property
    def by_kind(self) -> str:
        """Kinds of instruction with the largest and the smallest difference, as a sentence."""
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
    """Mean scores of one kind of instruction.

    Args:
        cells: for each variant, mean, number of scored entries and interval of the mean.
    """

    kind: str
    entries: int
    cells: Sequence[tuple[float | None, int, Interval | None]]


def by_test_set(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Group variants that were tested on the same entries, in order."""
    groups: dict[object, list[Variant]] = defaultdict(list)
    for variant in variants:
        groups[variant.test_set].append(variant)
    return list(groups.values())


def by_score(variants: Sequence[Variant], judge: str) -> list[Variant]:
    """Return variants in the order of their mean scores, the best first."""
    return sorted(variants, key=lambda variant: -(variant.judged[judge].number("mean") or 0))


def compare_variants(variants: Sequence[Variant], judge: str) -> list[Pair]:
    """Compare every two variants with the same test entries, best first.

    Sentences go to finetuned variants beside each other and beside their own model before
    finetuning; with several variants, only to comparisons with the best. Of more than MANY
    variants, only the best MANY get sentences, and the table on the page lists each beside the
    best, beside its own model before finetuning, and beside the next in the order of the scores.
    """
    found = []
    for group in by_test_set(variants):
        ranked = by_score(group, judge)
        several = len(list(combinations([v for v in group if v.finetuned], 2)))
        best = next((variant for variant in ranked if variant.finetuned), ranked[0])
        spread = _seed_spread(group, judge)
        for (place, one), (next_place, other) in combinations(enumerate(ranked), 2):
            alike = one.finetuned == other.finetuned and (one.finetuned or not best.finetuned)
            own = one.model == other.model and one.finetuned != other.finetuned
            of_best = one is best or other is best
            spoken = own or (alike and (several <= MOST_SENTENCES or of_best))
            listed = True
            if len(group) > MANY:
                tuned = place if one.finetuned and not other.finetuned else next_place
                spoken = spoken and tuned < MANY
                listed = own or of_best or next_place == place + 1
            if (result := _compared(one, other, judge)) and result.difference < 0:
                one, other = other, one  # not all entries are shared
                result = _compared(one, other, judge)
            if result:
                found.append((one, other, result, spoken, listed, spread))
    tested = [result.p_value for _, _, result, *_ in found if result.p_value is not None]
    corrected = iter(holm(tested))
    return [
        Pair(
            one,
            other,
            result,
            None if result.p_value is None else next(corrected),
            len(tested),
            _kind_differences(one, other, judge) if spoken else (),
            spoken,
            listed,
            spread,
        )
        for one, other, result, spoken, listed, spread in found
    ]


def _compared(one: Variant, other: Variant, judge: str) -> Comparison | None:
    return compare(
        one.judged[judge].runs_scores,
        other.judged[judge].runs_scores,
        (not one.finetuned, not other.finetuned),
    )


def _seed_spread(variants: Sequence[Variant], judge: str) -> float | None:
    """Return the root mean square of the standard deviations between the variants' runs."""
    spreads = [spread_of_runs(variant.judged[judge].runs_scores) for variant in variants]
    squares = [spread**2 for spread in spreads if spread is not None]
    return fmean(squares) ** 0.5 if squares else None


def score_kinds(variants: Sequence[Variant], judge: str) -> list[KindRow]:
    """Return mean scores by kind of instruction, no rows if the data set names no kinds.

    Args:
        variants: tested on the same entries.
    """
    rows = []
    for kind, entries in _entries_by_kind(variants[0]).items():
        cells = []
        for variant in variants:
            scores = variant.judged[judge].scores
            values = [scores[entry] for entry in entries if entry in scores]
            mean = fmean(values) if values else None
            cells.append((mean, len(values), mean_interval(values)))
        rows.append(KindRow(kind, len(entries), cells))
    return rows


def _entries_by_kind(variant: Variant) -> Mapping[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(variant.entries):
        if kind := entry.get("kind"):
            numbers[str(kind)].append(number)
    return dict(sorted(numbers.items()))


def _kind_differences(one: Variant, other: Variant, judge: str) -> list[tuple[str, float, int]]:
    a, b = one.judged[judge].scores, other.judged[judge].scores
    found = []
    for kind, entries in _entries_by_kind(one).items():
        if differences := [a[entry] - b[entry] for entry in entries if entry in a and entry in b]:
            found.append((kind, fmean(differences), len(differences)))
    return sorted(found, key=lambda row: -row[1])

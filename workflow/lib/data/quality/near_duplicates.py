"""Near duplicates: entries whose questions and outputs are both almost equal.

Similarity is rapidfuzz's ratio, the share of characters that need no edit, ignoring case and white
space; of two entries it is the smaller one, of their questions or outputs. Similar questions with
different outputs do not count: "Convert 5 km to m." and "Convert 60 km to m." differ.

Comparing all pairs of Stanford Alpaca's 52,002 entries would take minutes. Two entries are compared
only if they share two of the RARE rarest words of each question, not counting words that occur in
one entry only: in the chapter's data this misses no pair of 90 percent or more. A question with one
or two such words is compared by each single word. Each key yields its RECENT latest entries.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz import fuzz, process

from workflow.lib.data.entries import Entry
from workflow.lib.data.words import word_pattern

RARE = 5
RECENT = 1000
NearPair = tuple[int, int, float]  # number, number of the most similar entry, percent
_WORD = re.compile(word_pattern())


@dataclass(frozen=True)
class _Normalized:
    """An entry in the form that is compared, with the keys that candidates share with it."""

    question: str
    output: str
    exact: tuple[str, str]  # instruction and input
    keys: tuple[tuple[str, ...], ...]


class NearDuplicates:
    """Finds the most similar entry of each entry.

    Of entries with exactly the same question only the first is compared: `group_by_question` finds
    those.

    Args:
        entries: all entries, by number.
        limit: similarity in percent from which two entries are near duplicates.
    """

    def __init__(self, entries: Mapping[int, Entry], limit: float) -> None:
        self._limit = limit
        questions = {n: _normalize(f"{e['instruction']} {e['input']}") for n, e in entries.items()}
        words = {number: set(_WORD.findall(text)) for number, text in questions.items()}
        in_entries = Counter(word for found in words.values() for word in found)

        def keys(number: int) -> tuple[tuple[str, ...], ...]:
            shared = (word for word in words[number] if in_entries[word] > 1)
            rare = sorted(shared, key=lambda word: (in_entries[word], word))[:RARE]
            single = [(word,) for word in rare] if len(rare) < 3 else []
            return (*combinations(rare, 2), *single)

        self._normalized = {
            number: _Normalized(
                questions[number],
                _normalize(entry["output"]),
                (entry["instruction"].strip(), entry["input"].strip()),
                keys(number),
            )
            for number, entry in entries.items()
        }

    def among(self, numbers: Iterable[int]) -> Iterator[NearPair]:
        """Yield every entry that has a near duplicate before it."""
        index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number in self._distinct(numbers):
            yield from self._most_similar(number, index)
            self._add(number, index)

    def between(self, numbers: Iterable[int], others: Iterable[int]) -> Iterator[NearPair]:
        """Yield every entry that has a near duplicate among the others."""
        index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for other in self._distinct(others):
            self._add(other, index)
        for number in self._distinct(numbers):
            yield from self._most_similar(number, index)

    def _distinct(self, numbers: Iterable[int]) -> Iterator[int]:
        seen = set()
        for number in numbers:
            if (exact := self._normalized[number].exact) not in seen:
                seen.add(exact)
                yield number

    def _add(self, number: int, index: dict[tuple[str, ...], list[int]]) -> None:
        for key in self._normalized[number].keys:
            index[key].append(number)

    def _most_similar(
        self, number: int, index: Mapping[tuple[str, ...], list[int]]
    ) -> Iterator[NearPair]:
        """Yield the (first) most similar entry of the index if it reaches the limit."""
        own, limit = self._normalized[number], self._limit
        shortest = len(own.question) * limit / (200 - limit)  # no other length reaches the limit
        longest = len(own.question) * (200 - limit) / limit
        found = {
            other: normalized.question
            for key in own.keys
            for other in index.get(key, ())[-RECENT:]
            if shortest <= len((normalized := self._normalized[other]).question) <= longest
            and normalized.exact != own.exact
        }
        questions = process.extract(
            own.question, found, scorer=fuzz.ratio, score_cutoff=limit, limit=None
        )
        similar = [
            (min(ratio, fuzz.ratio(own.output, self._normalized[other].output)), -other)
            for _, ratio, other in questions
        ]
        if similar and max(similar)[0] >= limit:
            ratio, other = max(similar)
            yield number, -other, round(ratio, 1)


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split())

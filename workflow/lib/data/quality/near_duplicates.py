"""Near duplicates: entries whose questions and outputs are both almost equal.

Similarity is rapidfuzz's ratio, the share of characters that need no edit, ignoring case and white
space; of two entries it is the smaller one, of their questions or outputs. Similar questions with
different outputs do not count: "Convert 5 km to m." and "Convert 60 km to m." differ.

Comparing all pairs of Stanford Alpaca's 52,002 entries would take minutes. Two entries are compared
only if they share two of the RARE rarest words of each question, not counting words that occur in
one entry only: in the chapter's data this misses no pair of 90 percent or more. A question with one
or two such words is compared by each single word. Each key yields its RECENT latest entries.

Time is bounded whatever the entries are: each entry adds its share of PAIRS to the candidates that
may be looked at, those with the rarest keys first, and its share of SIGNS to the characters of
questions and of outputs that may be compared. What was not compared is counted. A data set the size
of the chapter's is far from all three.
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
PAIRS = 50_000_000  # candidates: two minutes or so
SIGNS = 25 * 10**10  # products of the lengths of two compared texts: five seconds or so
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
        self.not_compared = 0  # pairs, at most: those of several keys count for each
        self._limit = limit
        count = max(len(entries), 1)
        self._share = PAIRS // count, SIGNS // count
        self._pairs, self._signs = 0, {"question": 0, "output": 0}  # what may still be spent
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
        self._pairs += self._share[0]
        for text in self._signs:
            self._signs[text] += self._share[1]
        found = {
            other: question
            for other in self._candidates(own, index)
            if self._may_compare(
                "question", own.question, question := self._normalized[other].question
            )
        }
        questions = process.extract(
            own.question, found, scorer=fuzz.ratio, score_cutoff=limit, limit=None
        )
        similar = []
        for _, ratio, other in questions:
            output = self._normalized[other].output
            if self._may_compare("output", own.output, output):
                alike = fuzz.ratio(own.output, output, score_cutoff=limit)
                similar.append((min(ratio, alike), -other))
        if similar and max(similar)[0] >= limit:
            ratio, other = max(similar)
            yield number, -other, round(ratio, 1)

    def _candidates(
        self, own: _Normalized, index: Mapping[tuple[str, ...], list[int]]
    ) -> list[int]:
        """Return the entries of the index that share a key with one and may be similar."""
        shortest = len(own.question) * self._limit / (200 - self._limit)
        longest = len(own.question) * (200 - self._limit) / self._limit
        found: dict[int, None] = {}  # no other length reaches the limit
        for others in sorted((index[key] for key in own.keys if key in index), key=len):
            taken = others[-min(self._pairs, RECENT) :] if self._pairs else []
            self._pairs -= len(taken)
            self.not_compared += len(others) - len(taken)
            found |= dict.fromkeys(taken)
        return [
            other
            for other in found
            if shortest <= len((normalized := self._normalized[other]).question) <= longest
            and normalized.exact != own.exact
        ]

    def _may_compare(self, text: str, one: str, other: str) -> bool:
        """Return whether two questions or outputs may still be compared, and count it."""
        if (signs := len(one) * len(other)) > self._signs[text]:
            self.not_compared += 1
            return False
        self._signs[text] -= signs
        return True


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split())

"""Entries that are almost the same.

Two entries are alike if both what is asked and the answer are: rapidfuzz's ratio, the share of
characters that need no edit, reaches a limit, case and white space aside. Alike questions with
other answers are not meant: "Convert 5 km to m." and "Convert 60 km to m." ask for different
things.

Comparing all pairs of Stanford Alpaca's 52,002 entries would take minutes. Only those are compared
that share two of the RARE rarest words of each, words that stand in no other entry left out: in the
chapter's data this misses none of the pairs from 90 percent on. A question of one or two such words
is compared by each of them; and for each key only with the RECENT entries before.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz import fuzz, process

from workflow.lib.data.entries import Entry

RARE = 5
RECENT = 1000
Alike = tuple[int, int, float]  # a number, that of the entry most alike, how much in percent
# Scripts that part no words have a word a character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True)
class _Plain:
    """An entry as it is compared, and the keys that it shares with what it is compared to."""

    asked: str
    answer: str
    exact: tuple[str, str]
    keys: tuple[tuple[str, ...], ...]


class AlikeEntries:
    """Finds the most alike of entries.

    Those that ask exactly the same are found without this: of them only the first is compared.

    Args:
        entries: all, by number.
        limit: percent from which on two are alike.
    """

    def __init__(self, entries: Mapping[int, Entry], limit: float) -> None:
        self._limit = limit
        asked = {n: _plain(f"{e['instruction']} {e['input']}") for n, e in entries.items()}
        words = {number: set(_WORD.findall(text)) for number, text in asked.items()}
        in_entries = Counter(word for found in words.values() for word in found)

        def keys(number: int) -> tuple[tuple[str, ...], ...]:
            shared = (word for word in words[number] if in_entries[word] > 1)
            rare = sorted(shared, key=lambda word: (in_entries[word], word))[:RARE]
            single = [(word,) for word in rare] if len(rare) < 3 else []
            return (*combinations(rare, 2), *single)

        self._plain = {
            number: _Plain(
                asked[number],
                _plain(entry["output"]),
                (entry["instruction"].strip(), entry["input"].strip()),
                keys(number),
            )
            for number, entry in entries.items()
        }

    def each_with_one_before(self, numbers: Iterable[int]) -> Iterator[Alike]:
        """Every entry that has one alike among those before it."""
        index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number in self._first_to_ask(numbers):
            yield from self._nearest(number, index)
            self._add(number, index)

    def each_with_one_of(self, numbers: Iterable[int], others: Iterable[int]) -> Iterator[Alike]:
        """Every entry that has one alike among the others."""
        index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for other in self._first_to_ask(others):
            self._add(other, index)
        for number in self._first_to_ask(numbers):
            yield from self._nearest(number, index)

    def _first_to_ask(self, numbers: Iterable[int]) -> Iterator[int]:
        asked = set()
        for number in numbers:
            if (exact := self._plain[number].exact) not in asked:
                asked.add(exact)
                yield number

    def _add(self, number: int, index: dict[tuple[str, ...], list[int]]) -> None:
        for key in self._plain[number].keys:
            index[key].append(number)

    def _nearest(self, number: int, index: Mapping[tuple[str, ...], list[int]]) -> Iterator[Alike]:
        """The first of the most alike in the index, if any reaches the limit."""
        own, limit = self._plain[number], self._limit
        shortest = len(own.asked) * limit / (200 - limit)  # of another length none is as alike
        longest = len(own.asked) * (200 - limit) / limit
        found = {
            other: plain.asked
            for key in own.keys
            for other in index.get(key, ())[-RECENT:]
            if shortest <= len((plain := self._plain[other]).asked) <= longest
            and plain.exact != own.exact
        }
        asked = process.extract(own.asked, found, scorer=fuzz.ratio, score_cutoff=limit, limit=None)
        alike = [
            (min(ratio, fuzz.ratio(own.answer, self._plain[other].answer)), -other)
            for _, ratio, other in asked
        ]
        if alike and max(alike)[0] >= limit:
            ratio, other = max(alike)
            yield number, -other, round(ratio, 1)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())

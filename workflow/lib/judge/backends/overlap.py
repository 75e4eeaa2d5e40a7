"""A judge without a server: agreement of a response with the reference in words and numbers.

It reads no meaning. Every label says so, and its scores must not be averaged with those of a
language model.
"""

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from workflow.lib.data.words import word_pattern
from workflow.lib.judge.backend import LocalBackend
from workflow.lib.settings.judges import JudgeSettings

# In ASCII this is [a-z0-9']+ of the lower-cased text; elsewhere the letters and digits of any
# script, so that a word such as "café" stays whole; single characters in scripts without spaces.
_WORD = re.compile(word_pattern(inside="'"))
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Overlap(JudgeSettings):
    """Agreement of words and numbers with the reference: needs no server, is not an LLM."""

    backend: Literal["overlap"]

    knows_reference = True

    @property
    def label(self) -> str:
        """A warning that this is no language model."""
        return "reference-overlap score, not an LLM's judgment"

    @property
    def note(self) -> str:
        """The same warning, short."""
        return "reference overlap, not an LLM"


class OverlapBackend(LocalBackend[Overlap]):
    """Scores responses by `overlap_score`."""

    def score(self, entry: Mapping[str, str]) -> float:
        """Return the agreement of an entry's response with its reference, from 0 to 100."""
        return overlap_score(entry, entry["model_response"])


def overlap_score(entry: Mapping[str, str], response: str) -> int:
    """Return the agreement of a response with the reference of its entry.

    100 if both are equal up to surrounding white space; else round(70 x K x N x (1 - P)).
    K is the F1 of the words that occur neither in the instruction nor in the input, each counted as
    often as it occurs (of all words, if neither text has such words). N is the Jaccard index of the
    two sets of numbers by value, 1 if they are equal. P is 1 if the response only repeats the words
    of the input, else 0.

    Args:
        entry: `instruction`, `input` and `output`, the reference.
        response: text of the model.

    Returns:
        whole number from 0 to 100.
    """
    reference = entry["output"]
    if response.strip() == reference.strip():
        return 100
    given = {*_words(entry["instruction"]), *_words(entry["input"])}
    word_f1 = _word_f1(reference, response, given)
    numbers = _number_agreement(reference, response)
    repeats_input = int(_words(response) == _words(entry["input"]))
    return round(70 * word_f1 * numbers * (1 - repeats_input))


def _words(text: str) -> list[str]:
    """Return the lower-cased words of a text, in order."""
    return _WORD.findall(text.lower())


def _word_f1(reference: str, response: str, given: set[str]) -> float:
    """Return the F1 of the words of two texts, from 0 to 1, without the given words."""
    wanted, written = Counter(_words(reference)), Counter(_words(response))
    new_wanted = Counter({word: n for word, n in wanted.items() if word not in given})
    new_written = Counter({word: n for word, n in written.items() if word not in given})
    if new_wanted or new_written:
        wanted, written = new_wanted, new_written
    total = wanted.total() + written.total()
    return 2 * (wanted & written).total() / total if total else 0.0


def _number_agreement(reference: str, response: str) -> float:
    """Return the Jaccard index of the numbers in two texts, from 0 to 1; 1 if neither has any."""
    wanted, written = _numbers(reference), _numbers(response)
    return 1.0 if wanted == written else len(wanted & written) / len(wanted | written)


def _numbers(text: str) -> set[Decimal]:
    """Return the numbers of a text by value: 2 and 2.0 are the same one."""
    return {Decimal(number) for number in _NUMBER.findall(text)}

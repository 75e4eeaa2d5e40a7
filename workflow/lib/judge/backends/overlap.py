"""The judge without a server: how far a response agrees with the reference in words and numbers.

It reads no meaning. Every label calls it what it is, and its scores are not to be averaged with
those of a language model.
"""

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

LABEL = "reference-overlap score, not an LLM's judgement"

# In ASCII this is [a-z0-9']+ of the lower-cased text; elsewhere the letters and digits of any
# script, so that a word such as "café" stays whole.
_WORD = re.compile(r"(?:[^\W_]|')+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def overlap_score(entry: Mapping[str, str], response: str) -> int:
    """Agreement of a response with the reference of its entry.

    100 if both are equal but for outer white space; else round(70 x K x N x (1 - P)):
    K is the F1 of the words that neither instruction nor input gave away, each counted as often as
    it occurs (of all words if both texts have none such), N the Jaccard index of the two sets of
    numbers by value (1 if equal), P is 1 if the response only repeats
    the words of the input.

    Args:
        entry: `instruction`, `input` and `output`, the reference.
        response: what the model wrote.

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
    """The lower-cased words of a text, in order."""
    return _WORD.findall(text.lower())


def _word_f1(reference: str, response: str, given: set[str]) -> float:
    """F1 of the words of two texts, from 0 to 1; words that were given away do not count."""
    wanted, written = Counter(_words(reference)), Counter(_words(response))
    new_wanted = Counter({word: n for word, n in wanted.items() if word not in given})
    new_written = Counter({word: n for word, n in written.items() if word not in given})
    if new_wanted or new_written:
        wanted, written = new_wanted, new_written
    total = wanted.total() + written.total()
    return 2 * (wanted & written).total() / total if total else 0.0


def _number_agreement(reference: str, response: str) -> float:
    """Jaccard index of the numbers in two texts, from 0 to 1; 1 if neither has any."""
    wanted, written = _numbers(reference), _numbers(response)
    return 1.0 if wanted == written else len(wanted & written) / len(wanted | written)


def _numbers(text: str) -> set[Decimal]:
    """The numbers of a text by value: 2 and 2.0 are the same one."""
    return {Decimal(number) for number in _NUMBER.findall(text)}

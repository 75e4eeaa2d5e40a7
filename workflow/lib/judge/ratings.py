"""The CSV files that the rating page saves: how people rate responses, or which of two they prefer.

An answer is known by the digests of its test entry and of its response, so a rating is valid
wherever the same response to the same entry turns up, and nowhere else. A pair is known by the
digests of its entry and of both responses, in any order.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from workflow.lib.data.csv_records import read_csv_records
from workflow.lib.data.entries import TEXTS
from workflow.lib.judge.scores import text_sha256
from workflow.lib.judge.wins import FIRST, SECOND, TIE
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.names import shown

COLUMNS = ("rater", "entry", "entry_sha256", "response_sha256", "score")
PAIR_COLUMNS = ("rater", "entry", "entry_sha256", "first_sha256", "second_sha256", "better")
PAGE = "rating.html"  # the page that saves such files
_DIGEST = re.compile(r"[0-9a-f]{64}")

# Digests of the entry and of the response; of a pair, those of the entry and of both responses.
Answer = tuple[str, ...]
ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Preference:
    """What a rater says about two responses.

    Args:
        better: first, second or tie.
        first: digest of the response that stood first.
    """

    better: str
    first: str


@dataclass(frozen=True)
class Ratings(Generic[ValueT]):
    """What all raters say.

    Args:
        raters: as their files name them, in the order of the files.
        answers: all that the files list, rated or not.
        given: by rater: scores from 0 to 100, or of pairs a `Preference`.
    """

    raters: Sequence[str]
    answers: frozenset[Answer]
    given: Mapping[str, Mapping[Answer, ValueT]]


def entry_digest(entry: Mapping[str, str]) -> str:
    """Return the digest of a test entry: its instruction, input and reference."""
    return text_sha256(json.dumps([entry[text] for text in TEXTS]))


def answer_of(entry: Mapping[str, str]) -> Answer:
    """Return the answer that a test entry with a "model_response" holds."""
    return entry_digest(entry), text_sha256(entry["model_response"])


def pair_of(entry: Mapping[str, str], responses: tuple[str, str]) -> Answer:
    """Return the pair of two responses to a test entry, the same in both orders."""
    return entry_digest(entry), *sorted(map(text_sha256, responses))


def read_ratings(paths: Sequence[Path]) -> Ratings[float]:
    """Read files of scores that were saved from the rating page, those of one rater as one.

    Raises:
        UserError: a file is not such a table, a score is not from 0 to 100, or a rater rates an
            answer twice; says where and what to do.
    """
    return _read(paths, COLUMNS, _score)


def read_pair_ratings(paths: Sequence[Path]) -> Ratings[Preference]:
    """Read files that say which of two responses is better, those of one rater as one.

    Raises:
        UserError: as `read_ratings`.
    """
    return _read(paths, PAIR_COLUMNS, _better)


def _read(
    paths: Sequence[Path],
    names: Sequence[str],
    value_of: Callable[[str, Mapping[str, str]], ValueT | None],
) -> Ratings[ValueT]:
    answers: set[Answer] = set()
    given: dict[str, dict[Answer, ValueT]] = {}
    sources: dict[tuple[str, Answer], str] = {}
    spelled: dict[str, str] = {}
    for path in paths:
        for line, row in _rows(path, names):
            where = f"{path}: line {line}"
            digest, *responses = (row[name].strip() for name in names[2:-1])
            answer, rater = (digest, *sorted(responses)), row["rater"].strip()
            if not rater or not all(map(_DIGEST.fullmatch, answer)):
                raise UserError(
                    f"{where}: lacks the rater or a digest of 64 characters; take the file as "
                    f"{PAGE} saved it"
                )
            alike = " ".join(unicodedata.normalize("NFKC", rater).casefold().split())
            if (other := spelled.setdefault(alike, rater)) != rater:
                raise UserError(
                    f"{where}: rater {shown(rater)} is rater {shown(other)} of another row but for "
                    "case, spaces or Unicode form; write the name of one rater in one way"
                )
            answers.add(answer)
            own = given.setdefault(rater, {})
            value = value_of(where, row)
            if value is None:
                continue
            if (first := sources.setdefault((rater, answer), where)) != where:
                raise UserError(
                    f"{where}: rates an answer that {first} rates too, both as rater "
                    f"{shown(rater)}; keep one, such as the file that was saved last"
                )
            own[answer] = value
    return Ratings([*given], frozenset(answers), given)


def _rows(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a file with the line that each starts in."""
    records = read_csv_records(path)
    for number, fault in records.faults.items():
        raise UserError(f"{path}: line {(records.lines or [])[number]}: {fault}")
    if not records.rows:
        raise UserError(f"{path}: holds no ratings; name files saved from {PAGE}")
    columns = records.rows[0].keys()
    if columns & set(COLUMNS + PAIR_COLUMNS) == set(PAIR_COLUMNS if wanted == COLUMNS else COLUMNS):
        says, kind = (
            ("says which of two answers is better", "kind: pairwise")
            if wanted == COLUMNS
            else ("scores each answer", "kind: score")
        )
        raise UserError(
            f"{path}: {says}; name it in `ratings` of a judge with `{kind}`, and here a file saved "
            f"from the {PAGE} of this judge"
        )
    for problem, names in (
        ("lacks the columns", [name for name in wanted if name not in columns]),
        ("has the unknown columns", [shown(name) for name in columns if name not in wanted]),
    ):
        if names:
            raise UserError(
                f"{path}: {problem} {', '.join(names)}; the columns of a file saved from {PAGE} "
                f"are {', '.join(wanted)}"
            )
    return list(zip(records.lines or [], records.rows, strict=True))


def _score(where: str, row: Mapping[str, str]) -> float | None:
    """Return the score of a row, None if its answer is not rated."""
    text = row["score"]
    if not text.strip():
        return None
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 100 or not re.fullmatch(r"\s*[0-9]+(\.[0-9]+)?\s*", text):
        raise UserError(
            f"{where}: the score {shown(text)} is not a number from 0 to 100; correct it, or leave "
            "it blank for an answer that is not rated"
        )
    return score


def _better(where: str, row: Mapping[str, str]) -> Preference | None:
    """Return which of the two responses of a row is better, None if they are not rated."""
    better = row["better"].strip()
    if better and better not in (FIRST, SECOND, TIE):
        raise UserError(
            f"{where}: {shown(better)} says not which answer is better; write {FIRST}, {SECOND} or "
            f"{TIE}, or leave it blank for two answers that are not rated"
        )
    return Preference(better, row["first_sha256"].strip()) if better else None

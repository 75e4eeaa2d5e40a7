"""The CSV files that the rating page saves: how people rate the responses.

An answer is known by the digests of its test entry and of its response, so a rating is valid
wherever the same response to the same entry turns up, and nowhere else.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow.lib.data.csv_records import read_csv_records
from workflow.lib.data.entries import TEXTS
from workflow.lib.judge.scores import text_sha256
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.names import shown

COLUMNS = ("rater", "entry", "entry_sha256", "response_sha256", "score")
PAGE = "rating.html"  # the page that saves such files
_DIGEST = re.compile(r"[0-9a-f]{64}")

Answer = tuple[str, str]  # digests of the entry and of the response


@dataclass(frozen=True)
class Ratings:
    """What all raters say.

    Args:
        raters: as their files name them, in the order of the files.
        answers: all that the files list, rated or not.
        scores: by rater, 0 to 100.
    """

    raters: Sequence[str]
    answers: frozenset[Answer]
    scores: Mapping[str, Mapping[Answer, float]]


def entry_digest(entry: Mapping[str, str]) -> str:
    """Return the digest of a test entry: its instruction, input and reference."""
    return text_sha256(json.dumps([entry[text] for text in TEXTS]))


def answer_of(entry: Mapping[str, str]) -> Answer:
    """Return the answer that a test entry with a "model_response" holds."""
    return entry_digest(entry), text_sha256(entry["model_response"])


def read_ratings(paths: Sequence[Path]) -> Ratings:
    """Read files that were saved from the rating page, those of one rater as one.

    Raises:
        UserError: a file is not such a table, a score is not from 0 to 100, or a rater rates an
            answer twice; says where and what to do.
    """
    answers: set[Answer] = set()
    scores: dict[str, dict[Answer, float]] = {}
    sources: dict[tuple[str, Answer], str] = {}
    spelled: dict[str, str] = {}
    for path in paths:
        for line, row in _rows(path):
            where = f"{path}: line {line}"
            answer = row["entry_sha256"].strip(), row["response_sha256"].strip()
            rater = row["rater"].strip()
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
            own = scores.setdefault(rater, {})
            score = _score(where, row["score"])
            if score is None:
                continue
            if (first := sources.setdefault((rater, answer), where)) != where:
                raise UserError(
                    f"{where}: rates an answer that {first} rates too, both as rater "
                    f"{shown(rater)}; keep one, such as the file that was saved last"
                )
            own[answer] = score
    return Ratings([*scores], frozenset(answers), scores)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a file with the line that each starts in."""
    records = read_csv_records(path)
    for number, fault in records.faults.items():
        raise UserError(f"{path}: line {(records.lines or [])[number]}: {fault}")
    if not records.rows:
        raise UserError(f"{path}: holds no ratings; name files saved from {PAGE}")
    columns = records.rows[0].keys()
    for problem, names in (
        ("lacks the columns", [name for name in COLUMNS if name not in columns]),
        ("has the unknown columns", [shown(name) for name in columns if name not in COLUMNS]),
    ):
        if names:
            raise UserError(
                f"{path}: {problem} {', '.join(names)}; the columns of a file saved from {PAGE} "
                f"are {', '.join(COLUMNS)}"
            )
    return list(zip(records.lines or [], records.rows, strict=True))


def _score(where: str, text: str) -> float | None:
    """Return a score, None if the answer is not rated."""
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

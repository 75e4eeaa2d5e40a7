"""The table that a judge writes and the report reads: a row for every verdict on a response."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean

from workflow.lib.judge.rows import check_places, first_status, parse_rows, whole
from workflow.lib.runtime.tables import read_csv

_EXACT = {"0": 0, "1": 1, "false": 0, "true": 1}  # earlier versions wrote words
STATUSES = ("scored", "unparsed", "failed", "empty", "unrated")


@dataclass(frozen=True)
class Verdict:
    """One row of scores.csv.

    Args:
        model, recipe, judge: names in config.yaml.
        entry: number of the test entry, from 0.
        repeat: number of the request about this entry, from 0.
        score: 0 to 100; None without a readable score.
        status: `scored`; `empty`, an empty response, which scores 0 without a request; `unparsed`,
            a reply without a readable score; `failed`, no reply; `unrated`, no rating of a person.
        exact_match: 1 if response and reference are equal up to surrounding white space, else 0.
        response_tokens: length of the response in words and punctuation marks, None in tables
            that do not hold it.
        reply: text that the judge wrote; empty if the judge is not a language model.
        prompt_sha256: digest of the question; empty if the judge is not a language model.
        response_sha256: digest of the response.
        asked_again: 1 if the judge was asked once more for the number alone, else 0; `reply` is the
            one that the score was read from.
    """

    model: str
    recipe: str
    judge: str
    entry: int
    repeat: int
    score: float | None
    status: str
    exact_match: int
    response_tokens: int | None
    reply: str
    prompt_sha256: str
    response_sha256: str
    asked_again: int = 0


COLUMNS = tuple(field.name for field in fields(Verdict))
_NEEDED = COLUMNS[:-1]


def read_scores(table: Path) -> list[Verdict]:
    """Read the verdicts of a scores.csv, in the order of the file.

    Raises:
        UserError: the table lacks columns, a value is not of its kind, or an entry or a repeat is
            missing or there twice.
    """
    verdicts = parse_rows(table, _NEEDED, _verdict)
    judged = defaultdict(list)
    for verdict in verdicts:
        judged[verdict.model, verdict.recipe, verdict.judge].append(verdict)
    for rows in judged.values():
        check_places(table, rows)
    return verdicts


def read_rows(table: Path) -> list[dict[str, str]]:
    """Read the rows of a scores.csv as text; raises as `read_scores`."""
    read_scores(table)
    return [{c: row.get(c, "0") for c in COLUMNS} for row in read_csv(table, _NEEDED)]


def _verdict(row: Mapping[str, str]) -> Verdict:
    """Return a row as a verdict.

    Raises:
        ValueError: a value is not of its kind.
    """
    score = float(row["score"]) if row["score"] else None
    verdict = Verdict(
        model=row["model"],
        recipe=row["recipe"],
        judge=row["judge"],
        entry=whole(row["entry"]),
        repeat=whole(row["repeat"]),
        score=score,
        status=row["status"],
        exact_match=_EXACT.get(row["exact_match"].lower(), -1),
        response_tokens=whole(row["response_tokens"]) if row["response_tokens"] else None,
        reply=row["reply"],
        prompt_sha256=row["prompt_sha256"],
        response_sha256=row["response_sha256"],
        asked_again=int(row.get("asked_again") or 0),  # earlier versions asked once
    )
    if verdict.status not in STATUSES:
        raise ValueError(f"unknown status {verdict.status!r}")
    if score is not None and not 0 <= score <= 100:
        raise ValueError(f"the score {row['score']} is not from 0 to 100")
    if (score is not None) != (verdict.status in ("scored", "empty")) or (
        verdict.status == "empty" and score
    ):
        raise ValueError(f"the score {row['score']!r} does not fit the status {verdict.status}")
    if verdict.asked_again not in (0, 1):
        raise ValueError(f"asked_again is {row['asked_again']!r}, should be 0 or 1")
    if verdict.exact_match < 0:
        raise ValueError(f"exact_match is {row['exact_match']!r}, should be 0 or 1")
    return verdict


def entry_scores(entries: Mapping[int, Sequence[Verdict]]) -> dict[int, float]:
    """Return the score of every entry that has one: the mean over its repeats."""
    scores = {
        entry: [verdict.score for verdict in verdicts if verdict.score is not None]
        for entry, verdicts in entries.items()
    }
    return {entry: fmean(values) for entry, values in scores.items() if values}


def entry_status(verdicts: Sequence[Verdict]) -> str:
    """Return the status of an entry; it is scored if one of its repeats is."""
    return first_status(verdicts, ("scored", "empty", "unparsed", "failed", "unrated"))

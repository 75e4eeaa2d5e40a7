"""The table that a judge writes and the report reads: a row for every verdict on a response."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean

from workflow.lib.runtime.errors import UserError

# A judge's reply can be longer than csv's own limit of 128 kB per cell.
csv.field_size_limit(2**31 - 1)

STATUSES = ("scored", "unparsed", "failed", "empty")


@dataclass(frozen=True)
class Verdict:
    """One row of scores.csv.

    Args:
        model, recipe, judge: names in config.yaml.
        entry: number of the test entry, from 0.
        repeat: number of the request about this entry, from 0.
        score: 0 to 100; None without a readable score.
        status: `scored`; `empty`, an empty response, which scores 0 without a request; `unparsed`,
            a reply without a readable score; `failed`, no reply.
        exact_match: 1 if response and reference are equal up to surrounding white space, else 0.
        response_tokens: length of the response in words and punctuation marks, None in tables
            that do not hold it.
        reply: text that the judge wrote; empty if the judge is not a language model.
        prompt_sha256: digest of the question; empty if the judge is not a language model.
        response_sha256: digest of the response.
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


COLUMNS = tuple(field.name for field in fields(Verdict))


def read_scores(table: Path) -> list[Verdict]:
    """Read the verdicts of a scores.csv, in the order of the file.

    Raises:
        UserError: the table lacks columns.
    """
    return [
        Verdict(
            model=row["model"],
            recipe=row["recipe"],
            judge=row["judge"],
            entry=int(row["entry"]),
            repeat=int(row["repeat"]),
            score=float(row["score"]) if row["score"] else None,
            status=row["status"],
            exact_match=int(row["exact_match"].lower() in ("1", "true")),
            response_tokens=int(row["response_tokens"]) if row["response_tokens"] else None,
            reply=row["reply"],
            prompt_sha256=row["prompt_sha256"],
            response_sha256=row["response_sha256"],
        )
        for row in read_rows(table)
    ]


def read_rows(table: Path) -> list[dict[str, str]]:
    """Read the rows of a scores.csv as text.

    Raises:
        UserError: the table lacks columns.
    """
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        if missing := set(COLUMNS) - set(reader.fieldnames or ()):
            raise UserError(
                f"{table}: lacks the columns {', '.join(sorted(missing))}; delete it and run again"
            )
    return [{column: row[column] for column in COLUMNS} for row in rows]


def by_entry(verdicts: Iterable[Verdict]) -> dict[int, list[Verdict]]:
    """Group verdicts by entry, with entries and repeats in order."""
    entries: dict[int, list[Verdict]] = defaultdict(list)
    for verdict in sorted(verdicts, key=lambda verdict: (verdict.entry, verdict.repeat)):
        entries[verdict.entry].append(verdict)
    return dict(entries)


def entry_scores(entries: Mapping[int, Sequence[Verdict]]) -> dict[int, float]:
    """Return the score of every entry that has one: the mean over its repeats."""
    scores = {
        entry: [verdict.score for verdict in verdicts if verdict.score is not None]
        for entry, verdicts in entries.items()
    }
    return {entry: fmean(values) for entry, values in scores.items() if values}


def entry_status(verdicts: Sequence[Verdict]) -> str:
    """Return the status of an entry; it is scored if one of its repeats is."""
    statuses = {verdict.status for verdict in verdicts}
    return next(s for s in ("scored", "empty", "unparsed", "failed") if s in statuses)

"""The table that a pairwise judge writes: a row for every two responses that it compared."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from workflow.lib.judge.rows import check_places, first_status, parse_rows, whole
from workflow.lib.runtime.errors import UserError

STATUSES = ("judged", "same", "unparsed", "failed", "unrated")
FIRST, SECOND, TIE = "first", "second", "tie"  # verdicts on two responses, by their order
VALUES = {"win": 1.0, "tie": 0.5, "loss": 0.0}  # of a verdict, for the variant


@dataclass(frozen=True)
class Win:
    """One row of wins.csv: a response of the variant beside that of the baseline.

    Args:
        model, recipe, judge: names in config.yaml.
        baseline: `reference`, or model and run of the baseline, such as nano-1M/book.
        entry: number of the test entry, from 0.
        repeat: number of the comparison of this entry, from 0.
        verdict_first: win, loss or tie of the variant where its response stood first; blank where
            this order was not asked or not read.
        verdict_second: the same where its response stood second.
        outcome: 1 where the variant wins in both orders, 0 where it loses in both, else 0.5; None
            without a verdict.
        status: `judged`; `same`, both responses are the same text, a tie without a request;
            `unparsed`, a reply without a readable verdict; `failed`, no reply; `unrated`, no
            verdict of a person.
        response_tokens, baseline_tokens: length of the responses in words and punctuation marks.
        reply_first, reply_second: what the judge wrote; empty if it is not a language model.
        asked_again: number of the two questions after which the judge was asked once more for the
            verdict alone, 0 to 2.
        prompt_sha256: digest of the question with the variant's response first; empty if the judge
            is not a language model.
        response_sha256, baseline_sha256: digests of the responses.
    """

    model: str
    recipe: str
    judge: str
    baseline: str
    entry: int
    repeat: int
    verdict_first: str
    verdict_second: str
    outcome: float | None
    status: str
    response_tokens: int
    baseline_tokens: int
    reply_first: str
    reply_second: str
    asked_again: int
    prompt_sha256: str
    response_sha256: str
    baseline_sha256: str

    @property
    def disagrees(self) -> bool:
        """Whether the verdict changed with the order of the responses."""
        verdicts = {self.verdict_first, self.verdict_second} - {""}
        return self.status == "judged" and len(verdicts) > 1


COLUMNS = tuple(field.name for field in fields(Win))


def same_text(one: str, other: str) -> bool:
    """Return whether two responses are the same text, which is a tie without a question."""
    return one.strip() == other.strip()


def outcome_of(first: str, second: str) -> float | None:
    """Return what the verdicts of both orders come to; None without any.

    One verdict alone counts by itself, as where people see each pair once.
    """
    values = [VALUES[verdict] for verdict in (first, second) if verdict]
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else 0.5


def row_of(win: Win) -> dict[str, Any]:
    """Return a row of wins.csv."""
    return {**asdict(win), "outcome": "" if win.outcome is None else f"{win.outcome:g}"}


def read_wins(table: Path) -> list[Win]:
    """Read the rows of a wins.csv, in the order of the file.

    Raises:
        UserError: the table has no rows or lacks columns, a value is not of its kind, or an entry
            or a repeat is missing or there twice.
    """
    wins = parse_rows(table, COLUMNS, _win)
    check_places(table, wins)
    if len({(win.model, win.recipe, win.judge, win.baseline) for win in wins}) > 1:
        raise UserError(
            f"{table}: is of more than one variant, judge or baseline; delete it and run again"
        )
    return wins


def pair_status(repeats: Sequence[Win]) -> str:
    """Return the status of an entry; it is judged if one of its repeats is."""
    return first_status(repeats, STATUSES)


def _win(row: Mapping[str, str]) -> Win:
    """Return a row of the file as an object.

    Raises:
        ValueError: a value is not of its kind, or values do not fit together.
    """
    counts = ("entry", "repeat", "response_tokens", "baseline_tokens", "asked_again")
    values: dict[str, Any] = {column: row[column] for column in COLUMNS}
    values |= {column: whole(row[column]) for column in counts}
    values["outcome"] = float(row["outcome"]) if row["outcome"] else None
    win = Win(**values)
    if win.status not in STATUSES:
        raise ValueError(f"unknown status {win.status!r}")
    for verdict in (win.verdict_first, win.verdict_second):
        if verdict and verdict not in VALUES:
            raise ValueError(f"unknown verdict {verdict!r}, should be win, loss or tie")
    expected = None
    if win.status == "same":
        expected = 0.5
    elif win.status == "judged":
        expected = outcome_of(win.verdict_first, win.verdict_second)
        if expected is None:
            raise ValueError("is judged and has no verdict")
    if win.outcome != expected:
        raise ValueError(
            f"the outcome {row['outcome']!r} does not fit the status {win.status} and the verdicts "
            f"{win.verdict_first!r} and {win.verdict_second!r}"
        )
    if win.asked_again > 2:
        raise ValueError("asked_again is above 2")
    return win

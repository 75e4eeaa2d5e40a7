"""The last lines of a finished run. The Snakefile imports this module: nothing slow in here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow.lib.report.summary_rows import read_summary
from workflow.lib.report.win_lines import win_lines

MOST_SENTENCES = 4  # variants
SAID = (
    "model", "recipe", "judge", "run_of", "seeds", "entries", "scored", "empty", "mean",
    "seed_spread", "seen_in_training", "mean_without_seen", "differs_in",
)  # fmt: skip


def outcome_lines(summary: Path, report: Path, notes: Mapping[str, str]) -> list[str]:
    """Return the chapter's two lines for every variant and judge (section 7.8), then a path.

    More than four variants are a table instead, best first.

    Args:
        summary: summary.csv of the run.
        report: page to point to.
        notes: words behind each judge's name, empty for a language model.
    """
    lines = []
    rows = read_summary(summary, SAID)
    compared = [row for row in rows if row.get("baseline") and not row["run_of"]]
    rows = [row for row in rows if not row.get("baseline")]
    variants = [row for row in rows if not row["run_of"]]
    if len({(row["model"], row["recipe"]) for row in variants}) > MOST_SENTENCES:
        for judge in dict.fromkeys(row["judge"] for row in variants):
            lines += [f"Scores by {judge}{_note(notes.get(judge))}, best first:"]
            lines += [*_table([row for row in variants if row["judge"] == judge]), ""]
        return [*lines, *win_lines(compared, notes), f"Report: {report}"]
    for row in variants:
        scored = int(row["scored"]) + int(row["empty"])
        average = _mean(row)
        name = (row["model"], row["recipe"], row["judge"])
        runs = [run for run in rows if (run["model"], run["run_of"], run["judge"]) == name]
        if runs:
            each = ", ".join(f"seed {run['seeds']}: {_mean(run)}" for run in runs)
            spread = _number(row["seed_spread"])
            average += f" ({each}{spread and f'; standard deviation {spread}'})"
        note = _note(notes.get(row["judge"]))
        lines += [
            f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
            f"Number of scores: {scored} of {row['entries']}",
            f"Average score: {average}",
            *_contamination(row, max(len(runs), 1)),
            *_flaws(row, max(len(runs), 1)),
            "",
        ]
    return [*lines, *win_lines(compared, notes), f"Report: {report}"]


def _note(words: str | None) -> str:
    return f" ({words})" if words else ""


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return lines with the score, its spread between seeds, and what sets each variant apart.

    Where test entries also stand in training, the score without them stands beside the score.
    """
    ranked = sorted(rows, key=lambda row: -float(row["mean"] or 0))
    columns = {
        "score": [_mean(row) for row in ranked],
        "without seen": [
            _number(row["mean_without_seen"]) if int(row["seen_in_training"]) else ""
            for row in ranked
        ],
        "seeds ±": [_number(row["seed_spread"]) for row in ranked],
        "scored": [f"{int(row['scored']) + int(row['empty'])}/{row['entries']}" for row in ranked],
        "variant": [f"{row['model']} / {row['recipe']}" for row in ranked],
        "cut off": [str(int(row.get("cut_off") or 0) or "") for row in ranked],
        "differs in": [row["differs_in"] for row in ranked],
    }
    filled = {name: values for name, values in columns.items() if any(values)}
    cells = [[*filled], *zip(*filled.values(), strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _mean(row: Mapping[str, str]) -> str:
    return _number(row["mean"]) or "none"


def _number(text: str) -> str:
    return f"{float(text):.2f}" if text else ""


def _contamination(row: Mapping[str, str], runs: int) -> list[str]:
    """Return a line about the test entries that also stand in training, if there are any."""
    seen, entries = (int(row[column]) // runs for column in ("seen_in_training", "entries"))
    if not seen:
        return []
    mean = row["mean_without_seen"]
    without = f"without them {float(mean):.2f}" if mean else "no score is left without them"
    share = f"{seen / entries:.0%}"
    return [f"{seen} of {entries} test entries ({share}) also stand in training; {without}"]


def _flaws(row: Mapping[str, str], runs: int) -> list[str]:
    """Return lines about repeated test entries and responses without an end, if there are any."""
    repeated, groups = (
        int(row.get(column) or 0) // runs for column in ("repeated_in_test", "repeated_groups")
    )
    entries, cut_off = int(row["entries"]), int(row.get("cut_off") or 0)
    lines = []
    if repeated:
        lines.append(
            f"{repeated} of {entries // runs} test entries ({repeated * runs / entries:.0%}) ask "
            f"only {groups} different question{'' if groups == 1 else 's'}"
        )
    if cut_off:
        lines.append(
            f"{cut_off} of {entries} responses ({cut_off / entries:.0%}) were cut off at "
            "generation.max_new_tokens"
        )
    return lines

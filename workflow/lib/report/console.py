"""The last lines of a finished run. The Snakefile imports this module: nothing slow in here."""

from collections.abc import Mapping
from pathlib import Path

from workflow.lib.report.summary_rows import read_summary

SAID = (
    "model", "recipe", "judge", "run_of", "seeds", "entries", "scored", "empty", "mean",
    "seed_spread", "seen_in_training", "mean_without_seen",
)  # fmt: skip


def outcome_lines(summary: Path, report: Path, notes: Mapping[str, str]) -> list[str]:
    """Return the chapter's two lines for every variant and judge (section 7.8), then a path.

    Args:
        summary: summary.csv of the run.
        report: page to point to.
        notes: words behind each judge's name, empty for a language model.
    """
    lines = []
    rows = read_summary(summary, SAID)
    for row in rows:
        if row["run_of"]:
            continue
        note = f" ({notes[row['judge']]})" if notes.get(row["judge"]) else ""
        scored = int(row["scored"]) + int(row["empty"])
        average = _mean(row)
        name = (row["model"], row["recipe"], row["judge"])
        runs = [run for run in rows if (run["model"], run["run_of"], run["judge"]) == name]
        if runs:
            each = ", ".join(f"seed {run['seeds']}: {_mean(run)}" for run in runs)
            spread = (
                f"; standard deviation {float(row['seed_spread']):.2f}"
                if row["seed_spread"]
                else ""
            )
            average += f" ({each}{spread})"
        lines += [
            f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
            f"Number of scores: {scored} of {row['entries']}",
            f"Average score: {average}",
            *_contamination(row, max(len(runs), 1)),
            "",
        ]
    return [*lines, f"Report: {report}"]


def _mean(row: Mapping[str, str]) -> str:
    return f"{float(row['mean']):.2f}" if row["mean"] else "none"


def _contamination(row: Mapping[str, str], runs: int) -> list[str]:
    """Return a line about the test entries that also stand in training, if there are any."""
    seen, entries = (int(row[column]) // runs for column in ("seen_in_training", "entries"))
    if not seen:
        return []
    mean = row["mean_without_seen"]
    without = f"without them {float(mean):.2f}" if mean else "no score is left without them"
    share = f"{seen / entries:.0%}"
    return [f"{seen} of {entries} test entries ({share}) also stand in training; {without}"]

"""The last lines of a finished run. The Snakefile imports this module: nothing slow in here."""

from collections.abc import Mapping
from pathlib import Path

from workflow.lib.report.summary_rows import read_summary

SAID = ("model", "recipe", "judge", "entries", "scored", "empty", "mean")


def outcome_lines(summary: Path, report: Path, notes: Mapping[str, str]) -> list[str]:
    """Return the chapter's two lines for every variant and judge (section 7.8), then a path.

    Args:
        summary: summary.csv of the run.
        report: page to point to.
        notes: words behind each judge's name, empty for a language model.
    """
    lines = []
    for row in read_summary(summary, SAID):
        note = f" ({notes[row['judge']]})" if notes.get(row["judge"]) else ""
        scored = int(row["scored"]) + int(row["empty"])
        average = f"{float(row['mean']):.2f}" if row["mean"] else "none"
        lines += [
            f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
            f"Number of scores: {scored} of {row['entries']}",
            f"Average score: {average}",
            "",
        ]
    return [*lines, f"Report: {report}"]

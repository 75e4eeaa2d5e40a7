"""What a finished run says on the console. The Snakefile imports it: nothing slow in here."""

import csv
from collections.abc import Mapping
from pathlib import Path


def outcome_lines(summary: Path, report: Path, notes: Mapping[str, str]) -> list[str]:
    """The chapter's two lines for every variant and judge (section 7.8), then the report's path.

    Args:
        summary: summary.csv of the run.
        report: the page to point to.
        notes: words behind each judge's name, empty for a language model.
    """
    lines = []
    with summary.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            note = f" ({notes[row['judge']]})" if notes[row["judge"]] else ""
            scored = int(row["scored"]) + int(row["empty"])
            average = f"{float(row['mean']):.2f}" if row["mean"] else "none"
            lines += [
                f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
                f"Number of scores: {scored} of {row['entries']}",
                f"Average score: {average}",
                "",
            ]
    return [*lines, f"Report: {report}"]

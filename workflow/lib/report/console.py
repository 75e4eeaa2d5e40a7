"""The last lines of a finished run. The Snakefile imports this module: nothing slow in here."""

from pathlib import Path

from workflow.lib.runtime.files import read_csv


def outcome_lines(summary: Path, report: Path) -> list[str]:
    """Return the chapter's two lines for every variant and judge (section 7.8), then a path.

    Args:
        summary: summary.csv of the run.
        report: page to point to.
    """
    lines = []
    for row in read_csv(summary):
        note = " (reference overlap, not an LLM)" if row["backend"] == "overlap" else ""
        scored = int(row["scored"]) + int(row["empty"])
        average = f"{float(row['mean']):.2f}" if row["mean"] else "none"
        lines += [
            f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
            f"Number of scores: {scored} of {row['entries']}",
            f"Average score: {average}",
            "",
        ]
    return [*lines, f"Report: {report}"]

"""The last lines of a finished run. The Snakefile imports this module: nothing slow in here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow.lib.report.summary_rows import read_summary

MOST_SENTENCES = 4  # variants
SAID = (
    "model", "recipe", "judge", "run_of", "seeds", "entries", "scored", "empty", "mean",
    "seed_spread", "differs_in",
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
    variants = [row for row in rows if not row["run_of"]]
    if len({(row["model"], row["recipe"]) for row in variants}) > MOST_SENTENCES:
        for judge in dict.fromkeys(row["judge"] for row in variants):
            lines += [f"Scores by {judge}{_note(notes[judge])}, best first:"]
            lines += [*_table([row for row in variants if row["judge"] == judge]), ""]
        return [*lines, f"Report: {report}"]
    for row in variants:
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
        note = _note(notes[row["judge"]])
        lines += [
            f"{row['model']} / {row['recipe']}, judged by {row['judge']}{note}",
            f"Number of scores: {scored} of {row['entries']}",
            f"Average score: {average}",
            "",
        ]
    return [*lines, f"Report: {report}"]


def _note(words: str) -> str:
    return f" ({words})" if words else ""


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return lines with the score, its spread between seeds, and what sets each variant apart."""
    ranked = sorted(rows, key=lambda row: -float(row["mean"] or 0))
    cells: list[tuple[str, ...]] = [("score", "seeds ±", "scored", "variant", "differs in")]
    for row in ranked:
        scored = int(row["scored"]) + int(row["empty"])
        spread = f"{float(row['seed_spread']):.2f}" if row["seed_spread"] else ""
        counts = f"{scored}/{row['entries']}"
        name = f"{row['model']} / {row['recipe']}"
        cells.append((_mean(row), spread, counts, name, row["differs_in"]))
    if not any(spread for _, spread, *_ in cells[1:]):
        cells = [(score, *rest) for score, _, *rest in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _mean(row: Mapping[str, str]) -> str:
    return f"{float(row['mean']):.2f}" if row["mean"] else "none"

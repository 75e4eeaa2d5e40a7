# Where the files of the whole comparison are, and what a finished run says about them.

import sys
import time

from workflow.lib.report.console import outcome_lines

BEGAN = time.time()
# The folder of the files of the whole comparison: one of its own if the config has a name.
COMPARISON = f"results/comparisons/{SETTINGS.name}" if SETTINGS.name else "results"
COMPARISON_FILES = ["scores.csv", "scores.parquet", "summary.csv", "summary.parquet", "report.html"]


def comparison_log(rule):
    """Return the log of a rule that makes files of the whole comparison."""
    return (
        f"results/logs/{rule}/{SETTINGS.name}.log" if SETTINGS.name else f"results/logs/{rule}.log"
    )


def refuse_elsewhere(wildcards):
    """Refuse a file of a comparison that the config puts elsewhere, and say where it is."""
    name, file = wildcards.get("comparison"), wildcards.file
    has = f"`name: {SETTINGS.name}`" if SETTINGS.name else "no `name`"
    target = f"results/comparisons/{name}/{file}" if name else f"results/{file}"
    other = f"; for this one, give the file with `name: {name}` to --configfile" if name else ""
    sys.exit(
        f"error: {target}: the config has {has}, so it makes {COMPARISON}/{file}; ask for that, or "
        f"give no target{other}"
    )


def print_outcome():
    """Print the chapter's two lines for every variant, and where the report is, if they are new."""
    summary, report, scores = (
        Path(COMPARISON, name) for name in ("summary.csv", "report.html", "scores.csv")
    )
    made = scores.exists() and scores.stat().st_mtime >= BEGAN
    if made and summary.exists() and report.exists():
        notes = {name: judge.note for name, judge in SETTINGS.judges.items()}
        print("", *outcome_lines(summary, report, notes), sep="\n", file=sys.stderr)

# Where the files of the whole comparison are, and what a finished run says about them.

import os
import shlex
import sys
import time

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.lib.cli.replaced import Rerun, replaced_comparison, replaced_lines
from workflow.lib.report.console import outcome_lines
from workflow.lib.runtime.version import COMMAND

BEGAN = time.time()
if workflow.is_main_process:
    os.environ[COMMAND] = shlex.join(["snakemake", *sys.argv[1:]])
# The folder of the files of the whole comparison: one of its own if the config has a name.
COMPARISON = f"results/comparisons/{SETTINGS.name}" if SETTINGS.name else "results"
COMPARISON_FILES = [
    "scores.csv",
    "scores.parquet",
    "summary.csv",
    "summary.parquet",
    "report.html",
    "pairs.csv",
    "config.yaml",
    "manifest.json",
    "rating.html",
    "rating-key.json",
]


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


def replaced_by(job):
    """Return what is known of a job that is going to run."""
    changed, reason = workflow.persistence.params_changed(job), workflow.dag.reason(job)
    new = changed.only_new if changed else ()
    judge = getattr(job.wildcards, "judge", None)
    return Rerun(
        files=[*job.output],
        before=changed.only_old if changed else (),
        now={name: value for name, value in job.params.items() if repr(value) in new},
        inputs=sorted({*reason.updated_input, *reason.updated_input_run}),
        asks=judge in SETTINGS.judges and SETTINGS.judges[judge].needs_server,
        forced=bool(reason.forced),
    )


def say_what_is_replaced(record, said=[]):
    """Print which results this run is going to replace, when Snakemake says how many jobs there are.

    That is before the first job, and in a dry run too, for which there is no `onstart`.
    """
    if getattr(record, "event", None) == LogEvent.RUN_INFO and not said and not workflow.touch:
        said.append(True)
        jobs = [*workflow.dag.needrun_jobs()]
        made = {str(file) for job in jobs for file in job.output}
        again = [job for job in jobs if any(map(os.path.exists, job.output))]
        lines = replaced_lines(map(replaced_by, again))
        if f"{COMPARISON}/config.yaml" in made:
            lines += replaced_comparison(Path(COMPARISON, "config.yaml"), COMPARED)
        if lines:
            print("This run replaces results:", *lines, sep="\n  ", end="\n\n", file=sys.stderr)
    return True


if workflow.is_main_process:
    logger.addFilter(say_what_is_replaced)

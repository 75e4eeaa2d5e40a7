# What Snakemake writes on the console: which jobs there are, how many are done, and which failed. What
# the jobs themselves say is written by workflow/lib/runtime/log.py. All of it is in .snakemake/log.
#
# This is how profiles/default and profiles/slurm show a run, by `quiet: [host, rules]`. A dry run, and
# one with another `--quiet`, shows what Snakemake shows.

import logging
import os
import re
import shutil
import sys

from snakemake.logging import DefaultFormatter, logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.lib.runtime.errors import one_line
from workflow.lib.runtime.pace import Pace

CHATTER = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Conda environments: ignored",
    "Exiting because a job execution failed",
    "Execute ",
    "Falling back to 'sacct'",  # also while the controller is silent
    "Job rate limit reached",
    "MinJobAge ",
    # The Slurm executor guesses with a call that no Slurm understands.
    "No SLURM account given, trying to guess",
    "No account was given, not able to get a SLURM account",
    "Unable to guess SLURM account",
    "Select jobs to execute",
    "Shared filesystem usage",
    "Trying to restart job",
    "Using shell",
    "WorkflowError:\nAt least one job did not complete successfully",
)

LEAST_ROOM = 100_000  # bytes without which a job may be unable to write why it ended


class Plain(DefaultFormatter):
    """What Snakemake writes, with one line instead of a traceback where the machine lacks something."""

    said = ""  # the last such line

    def format(self, record):
        if getattr(record, "event", None) == LogEvent.ERROR:
            error = sys.exc_info()[1]  # Snakemake reports an exception while it handles it
            if quoted := re.search(r"\[Errno (\d+)\] ([^:]+): '(.+?)'", str(record.msg)):
                error = OSError(int(quoted[1]), quoted[2], quoted[3])
            if isinstance(error, (OSError, MemoryError)) and (line := one_line(error)):
                repeated, self.said = line == self.said, line
                return "" if repeated else f"error: {line}"
        return super().format(record)


class Console(Plain):
    """Jobs, how many are done, and those that failed; other messages as Snakemake writes them."""

    def __init__(self):
        super().__init__({Quietness.HOST, Quietness.RULES})
        self.pace = Pace(every=5)

    def filter(self, record):
        """Return whether a record is shown."""
        event = getattr(record, "event", None)
        if event == LogEvent.PROGRESS:
            return self.pace.due(record.done, record.total)
        if event == LogEvent.ERROR:  # of a script, which has said it itself: see `failure`
            said = "CalledProcessError in file" in str(record.msg)
            return not said and not str(record.msg).startswith(CHATTER)
        if event is None:
            return not str(record.msg).startswith(CHATTER)
        return event in (LogEvent.RUN_INFO, LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR)

    def format_progress(self, msg):
        return f"{msg['done']} of {msg['total']} jobs done"

    def format_job_error(self, msg):
        if msg.get("submitted"):
            return failed_attempt(msg)
        return failure(msg["rule_name"], msg["log"])

    def format_group_error(self, msg):
        return "\n".join(
            failure(job["rule_name"], job["log"], workflow.non_local_exec)
            for job in msg["job_error_info"]
        )


def failed_attempt(msg):
    """Return the line on an attempt of a submitted job: which job, why, whether it is tried again."""
    own = [log for log in msg["log"] if log.startswith("results/logs/")]
    output = [log.removeprefix(f"{Path.cwd()}/") for log in msg["log"] if log not in own]
    logs = [*output, *own] if msg["why"].in_output else [*own, *output]
    return msg["why"].line(
        name_of(msg["rule_name"], own),
        msg["aux"].get("external_jobid"),
        *msg["attempt"],
        next(filter(os.path.exists, logs), ""),
    )


def name_of(rule, own):
    """Return a job's rule and wildcards, by its log."""
    return " ".join([rule, *Path(own[0]).with_suffix("").parts[3:]]) if own else rule


def failure(rule, logs, unseen=False):
    """Return the line that names a failed job and its log; with the error if nobody saw it yet."""
    own = [log for log in logs if log.startswith("results/logs/")]
    job = name_of(rule, own)
    lines = [f"failed: {job}; see {', '.join(logs)}"]
    said = [errors_in(log) for log in own if Path(log).is_file()]
    if said == [[]] and shutil.disk_usage(own[0]).free > LEAST_ROOM:  # else the disk is full
        lines.append(
            f"error: {job} ended before it could say why; if the system stopped it for want of memory, "
            "lower batch_size or max_length, or run fewer jobs at once with --cores"
        )
    elif said and unseen:
        lines += said[0]
    return "\n".join(lines)


def errors_in(log):
    """Return the lines of a job's log that say why it failed."""
    lines = Path(log).read_text("utf-8", errors="replace").splitlines()
    return [line for line in lines if line.startswith("error: ")]


def show_what_matters():
    """Show Console's lines on the console, and everything in Snakemake's log file."""
    settings = workflow.output_settings
    quiet = set(settings.quiet or ())
    short = quiet == {Quietness.HOST, Quietness.RULES} and not settings.dryrun
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            console = Console() if short else Plain(quiet, settings.show_failed_logs)
            handler.setFormatter(console)
            if short:
                handler.filters = [console]
        elif short and isinstance(handler, logging.FileHandler):
            for known in handler.filters:
                known.quiet = set()


if workflow.is_main_process:
    show_what_matters()

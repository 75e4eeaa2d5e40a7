# What becomes of a job that failed: why it did, which the console says in one line, and whether another
# attempt can help. A user's mistake is not tried again, whatever `retries` is.

import asyncio
import re
import signal
import sys
import threading
import time

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.lib.cluster.failed_job import find_cause
from workflow.lib.cluster.job_states import JobStates, silence
from workflow.lib.runtime.errors import HAS_ATTEMPTS

SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\S+)")
STATES = JobStates()
NAMES = {}  # by Slurm's number, rule and wildcards
BEFORE = {}  # by path, what a log was before the job started


def state_of_log(path):
    """Return what tells a log from the one of an earlier attempt, None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def text_of(paths):
    """Return what is written in logs, as far as they can be read."""
    found = []
    for path in paths:
        try:
            found.append(Path(path).read_text("utf-8", errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def follow(record):
    """Take note of jobs that start, and explain those that fail before the console shows them."""
    event = getattr(record, "event", None)
    if event == LogEvent.RUN_INFO:  # known only now: how the run executes its jobs
        if workflow.execution_settings.retries or workflow.non_local_exec:
            os.environ[HAS_ATTEMPTS] = "yes"
        if workflow.executor_plugin.name == "slurm":
            ask_for_states()
    elif event == LogEvent.JOB_INFO:
        BEFORE.update({path: state_of_log(path) for path in record.log})
    elif event == LogEvent.JOB_ERROR:
        explain(record)
    elif event is None and (known := SUBMITTED.match(str(record.msg))):
        STATES.submitted(known[2])
        NAMES[known[2]] = next(map(name_of_job, jobs_with(int(known[1]))), "a job")
    return True


def jobs_with(jobid):
    """Return the running jobs, one or none, with a number of Snakemake's."""
    running = [job for job in [*workflow.scheduler.running] if not job.is_group()]
    return [job for job in running if workflow.dag.jobid(job) == jobid]


def name_of_job(job):
    """Return a job's rule and wildcards, as the console names it."""
    return name_of(job.rule.name, [*map(str, job.log)])


def explain(record):
    """Find out why a job failed; if every attempt would end like that, have it be the last one."""
    own = [path for path in record.log if path.startswith("results/logs/")]
    output = [path for path in record.log if path not in own]
    written = [path for path in own if state_of_log(path) != BEFORE.get(path)]
    number = record.aux.get("external_jobid")
    record.why = find_cause(
        text_of(written), text_of(output), str(record.rule_msg or ""), STATES.lost.get(number, "")
    )
    for job in jobs_with(record.jobid):
        record.submitted = workflow.non_local_exec and not job.is_local
        if record.why.final:
            # Not by its property, which forgets the resources that the job has to give back.
            job._attempt = max(job.attempt, job.restart_times + 1)
        record.attempt = job.attempt, job.restart_times + 1
        if not record.why.counts:
            job._attempt -= 1


def ask_for_states():
    """Have the Slurm executor end its waiting for jobs that are lost, and go on if Slurm is silent.

    If five questions fail at once, it forgets all jobs and waits for ever.
    """
    plugin = sys.modules["snakemake_executor_plugin_slurm"]
    ask = plugin.query_job_status
    silent = []

    async def ask_and_read(command, log):
        await asyncio.sleep(STATES.pause(time.monotonic()))
        answer, seconds = await ask(command, log)
        program = command.split()[0]
        if answer is None:
            if not silent:
                logger.warning(silence(program))
            silent.append(program)
            return {}, 0.0
        silent.clear()
        states = STATES.read(answer, complete=program == "squeue")
        while STATES.started_again:
            job = STATES.started_again.pop()
            logger.warning(f"{NAMES.get(job, 'a job')}: Slurm starts it again [job {job}]")
        return states, seconds

    plugin.query_job_status = ask_and_read


def take_signals_beside(record):
    """Have SIGTERM wait for the scheduler's lock beside the main thread, which may hold it.

    Snakemake's handler takes the lock in the main thread. A job that is cancelled while its outputs
    are recorded would wait for itself and stay behind on its node.
    """
    main = threading.current_thread() is threading.main_thread()
    if getattr(record, "event", None) == LogEvent.JOB_INFO and main:
        end = workflow.scheduler.exit_gracefully
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, daemon=True).start())
    return True


if workflow.remote_exec:
    os.environ[HAS_ATTEMPTS] = "yes"
    logger.addFilter(take_signals_beside)
elif workflow.is_main_process and not workflow.output_settings.dryrun:
    logger.addFilter(follow)

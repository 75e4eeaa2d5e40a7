"""A job computed in this process, or in several that torchrun starts."""

from workflow.lib.parallel.launching.job import Job
from workflow.lib.runtime.processes import Worker


def launch(job: Job, gpus: int, nodes: int, log: str) -> None:
    """Run a job in this process, or in several and wait for them.

    Args:
        job: run once in every process.
        gpus: processes on each machine; where there are GPUs, one each.
        nodes: machines; more than one only within a Slurm job.
        log: the rule's log file, to which rank 0 appends.

    Raises:
        UserError: a user's mistake, in any of the processes; or a process that died, hung or
            never started. All processes have ended then.
        DefectError: a defect of the pipeline in any of them.
    """
    if gpus * nodes == 1:
        job.run(Worker())
        return
    from workflow.lib.parallel.launching.start import start  # takes a while to import

    start(job, gpus, nodes, log)

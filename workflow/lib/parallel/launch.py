"""A job computed here and now, or by several processes that torchrun starts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from workflow.lib.model.device import prepare_device
from workflow.lib.parallel.engine import ALONE, Team
from workflow.lib.settings.computing import Computing

Work = Callable[[Team, torch.device, dict[str, Any]], None]


@dataclass(frozen=True)
class Processes:
    """How many compute a job.

    Args:
        gpus: processes on each machine; where there are GPUs, one each.
        nodes: machines; more than one only within a Slurm job.
    """

    gpus: int = 1
    nodes: int = 1


def compute(
    work: Work, job: dict[str, Any], computing: Computing, processes: Processes, log: str
) -> None:
    """Do a job, in this process or in several that it starts and waits for.

    Args:
        work: a function of a module; each process calls it with its team, its device and the job.
        job: what JSON can hold.
        computing: device, threads and patience.
        log: the rule's log file; the first process adds its lines.

    Raises:
        UserError: what a user can put right in any of the processes, or a process that died, hung
            or did not come; none is left then.
        DefectError: of the pipeline, in any of them.
    """
    if processes.gpus * processes.nodes == 1:
        work(ALONE, prepare_device(computing), job)
        return
    from workflow.lib.parallel.start import start  # takes a while to import

    work_of = f"{work.__module__}:{work.__qualname__}"
    start(work_of, job, computing, processes.gpus, processes.nodes, log)

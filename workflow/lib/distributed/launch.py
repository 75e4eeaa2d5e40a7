"""A job computed here and now, or by several processes that torchrun starts."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from workflow.lib.device import prepare_device
from workflow.lib.distributed import worker
from workflow.lib.distributed.notes import raise_cause
from workflow.lib.distributed.team import ALONE, Team
from workflow.lib.errors import UserError
from workflow.lib.files import write_json
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
    size = processes.gpus * processes.nodes
    if size == 1:
        work(ALONE, prepare_device(computing), job)
        return
    from workflow.lib.distributed.node import Meeting, run_node

    folder = Path(log).with_suffix(".processes").absolute()  # where all machines can read
    shutil.rmtree(folder, ignore_errors=True)
    try:
        endpoint = "localhost:0" if processes.nodes == 1 else f"{socket.gethostname()}:{_port()}"
        meeting = Meeting(
            **asdict(processes),
            endpoint=endpoint,
            name=uuid.uuid4().hex,
            patience=computing.patience,
        )
        write_json(
            folder / "job.json",
            {
                "work": [work.__module__, work.__qualname__],
                "job": job,
                "computing": computing.model_dump(),
                "meeting": asdict(meeting),
                "log": log,
            },
        )
        run = run_node if processes.nodes == 1 else _run_nodes
        if not run(folder / "job.json", meeting):
            raise_cause(folder, size, computing.patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_nodes(description: Path, meeting: Any) -> bool:
    """Have Slurm start `node` on each machine of this job, and end all when one fails."""
    there = int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
    if there < meeting.nodes:
        raise UserError(
            f"nodes: {meeting.nodes} of the recipe, but this job has {there}; run it on a cluster "
            "with --workflow-profile workflow/profiles/slurm, or set nodes: 1"
        )
    threads = os.environ.get("SLURM_CPUS_PER_TASK")
    command = [
        "srun", f"--nodes={meeting.nodes}", f"--ntasks={meeting.nodes}", "--ntasks-per-node=1",
        "--overlap", "--kill-on-bad-exit=1", *([f"--cpus-per-task={threads}"] if threads else []),
        sys.executable, "-m", "workflow.lib.distributed.node", str(description),
    ]  # fmt: skip

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    step = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return step.wait() == 0
    finally:
        if step.poll() is None:
            step.terminate()  # which srun hands on to all machines
            step.wait()


def _port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


__all__ = ["Processes", "compute", "worker"]

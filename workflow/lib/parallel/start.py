"""Several processes are given a job, here or on the machines of a Slurm job, and waited for."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workflow.lib.parallel.node import ROOT, TIME_TO_END, Meeting, interrupt, run_node
from workflow.lib.parallel.notes import raise_cause
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json
from workflow.lib.settings.computing import Computing


def start(
    work: str, job: dict[str, Any], computing: Computing, gpus: int, nodes: int, log: str
) -> None:
    """Start processes, wait until all have ended, and raise what made them fail.

    What they need to know and what they leave behind is a folder beside the log file, where all
    machines can read; it is removed at the end.

    Args:
        work: module:function of the work.
        job, computing, gpus, nodes, log: see `compute`.

    Raises:
        UserError, DefectError, KeyboardInterrupt: see `compute`.
    """
    folder = Path(log).with_suffix(".processes").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        endpoint = "localhost:0" if nodes == 1 else f"{socket.gethostname()}:{_free_port()}"
        meeting = Meeting(nodes, gpus, endpoint, uuid.uuid4().hex, computing.patience)
        description = {
            "work": work,
            "job": job,
            "computing": computing.model_dump(),
            "meeting": asdict(meeting),
            "log": log,
        }
        write_json(folder / "job.json", description)
        run = run_node if nodes == 1 else _run_nodes
        if not run(folder / "job.json", meeting):
            raise_cause(folder, gpus * nodes, computing.patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_nodes(description: Path, meeting: Meeting) -> bool:
    """Have Slurm start `node` on each machine of this job, and end all when one fails."""
    there = int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
    if there < meeting.nodes:
        raise UserError(
            f"nodes: {meeting.nodes} of the recipe, but this job has {there}; run it on a cluster "
            "with --workflow-profile profiles/slurm, or set nodes: 1"
        )
    threads = os.environ.get("SLURM_CPUS_PER_TASK")
    command = [
        "srun", f"--nodes={meeting.nodes}", f"--ntasks={meeting.nodes}", "--ntasks-per-node=1",
        "--overlap", "--kill-on-bad-exit=1", *([f"--cpus-per-task={threads}"] if threads else []),
        sys.executable, "-m", "workflow.lib.parallel.node", str(description),
    ]  # fmt: skip

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    step = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return step.wait() == 0
    finally:
        if step.poll() is None:
            step.terminate()  # which srun hands on to all machines
            try:
                step.wait(2 * TIME_TO_END)
            except subprocess.TimeoutExpired:
                step.kill()


def _free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]

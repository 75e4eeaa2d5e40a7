"""Starting processes, here or on the machines of a Slurm job, and waiting for them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import asdict
from pathlib import Path

from workflow.lib.parallel.launching.job import Job
from workflow.lib.parallel.launching.node import (
    ROOT,
    SECONDS_TO_END,
    Meeting,
    interrupt,
    run_node,
)
from workflow.lib.parallel.launching.notes import raise_cause
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json


def start(job: Job, gpus: int, nodes: int, log: str) -> None:
    """Start processes, wait until all have ended, and raise what made them fail.

    The job as JSON and the notes that the processes leave are in a folder beside the log file,
    which all machines can read; it is removed at the end.

    Args:
        job, gpus, nodes, log: see `launch`.

    Raises:
        UserError, DefectError, KeyboardInterrupt: see `launch`.
    """
    patience = job.computing.patience
    folder = Path(log).with_suffix(".processes").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        endpoint = "localhost:0" if nodes == 1 else f"{socket.gethostname()}:{_free_port()}"
        meeting = Meeting(nodes, gpus, endpoint, uuid.uuid4().hex, patience)
        kind = type(job)
        description = {
            "class": f"{kind.__module__}:{kind.__qualname__}",
            "job": job.model_dump(mode="json"),
            "meeting": asdict(meeting),
            "log": log,
        }
        write_json(folder / "job.json", description)
        run = run_node if nodes == 1 else _run_nodes
        if not run(folder / "job.json", meeting):
            raise_cause(folder, gpus * nodes, patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_nodes(description: Path, meeting: Meeting) -> bool:
    """Have Slurm start `node` on each machine of this job, and end all when one fails."""
    allocated = int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
    if allocated < meeting.nodes:
        raise UserError(
            f"nodes: {meeting.nodes} of the recipe, but this job has {allocated}; run it on a "
            "cluster with --workflow-profile profiles/slurm, or set nodes: 1"
        )
    threads = os.environ.get("SLURM_CPUS_PER_TASK")
    command = [
        "srun", f"--nodes={meeting.nodes}", f"--ntasks={meeting.nodes}", "--ntasks-per-node=1",
        "--overlap", "--kill-on-bad-exit=1", *([f"--cpus-per-task={threads}"] if threads else []),
        sys.executable, "-m", "workflow.lib.parallel.launching.node", str(description),
    ]  # fmt: skip

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    # When one machine ends, torch on the others may warn of lost connections before they end, too;
    # the notes say what happened.
    quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
    environment = {**quiet, **os.environ, "PYTHONPATH": str(ROOT)}
    step = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return step.wait() == 0
    finally:
        if step.poll() is None:
            step.terminate()  # which srun passes on to all machines
            try:
                step.wait(2 * SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                step.kill()


def _free_port() -> int:
    """Return a port of this machine that is not in use."""
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]

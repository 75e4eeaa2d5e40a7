"""Starting processes, here or on the machines of a Slurm job, and waiting for them."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import asdict, replace
from pathlib import Path

from workflow.lib.parallel.launching.addresses import own_address
from workflow.lib.parallel.launching.allocation import nodes_of_job
from workflow.lib.parallel.launching.job import Job
from workflow.lib.parallel.launching.meeting import Meeting, open_store
from workflow.lib.parallel.launching.node import (
    ROOT,
    SECONDS_TO_END,
    handled,
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
    kind = type(job)
    description = {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "job": job.model_dump(mode="json"),
        "log": log,
    }
    here = os.environ.get("SLURMD_NODENAME", os.uname().nodename)
    meeting = Meeting([here], gpus, here, "127.0.0.1", 0, uuid.uuid4().hex, patience)
    try:
        if nodes == 1:
            write_json(folder / "job.json", description | {"meeting": asdict(meeting)})
            succeeded = run_node(folder / "job.json", meeting)
        else:
            addresses = _allocated(nodes, here)
            host = own_address(address for node, address in addresses.items() if node != here)
            store = open_store(host, patience)  # for as long as the job runs
            meeting = replace(meeting, nodes=[*addresses], host=host, port=store.port)
            write_json(folder / "job.json", description | {"meeting": asdict(meeting)})
            succeeded = _run_nodes(folder / "job.json", meeting)
        if not succeeded:
            raise_cause(folder, gpus * nodes, patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _allocated(nodes: int, here: str) -> dict[str, str]:
    """Return names and addresses of as many nodes of this Slurm job, the one named first."""
    found = nodes_of_job()
    if len(found) < nodes:
        raise UserError(
            f"nodes: {nodes} of the recipe, but this job has {len(found) or 1}; run it on a "
            "cluster with --workflow-profile profiles/slurm, or set nodes: 1"
        )
    names = sorted(found, key=lambda node: node != here)
    return {name: found[name] for name in names[:nodes]}


def _run_nodes(description: Path, meeting: Meeting) -> bool:
    """Have Slurm start `node` on each machine of a job, and end all when one fails.

    Without --cpus-per-task a step has all CPUs of the job, as it has all its GPUs.
    """
    nodes = len(meeting.nodes)
    command = [
        "srun", f"--nodes={nodes}", f"--nodelist={','.join(meeting.nodes)}", f"--ntasks={nodes}",
        "--ntasks-per-node=1", "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1",
        sys.executable, "-m", "workflow.lib.parallel.launching.node", str(description),
    ]  # fmt: skip
    # When one machine ends, torch on the others may warn of lost connections before they end, too;
    # the notes say what happened.
    quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
    environment = {**quiet, **os.environ, "PYTHONPATH": str(ROOT)}
    with handled(dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), interrupt)):
        step = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return step.wait() == 0
        finally:
            if step.poll() is None:
                step.terminate()  # which srun passes on to all machines
                try:
                    step.wait(2 * SECONDS_TO_END)
                except subprocess.TimeoutExpired:
                    step.kill()

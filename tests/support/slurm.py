"""A Slurm cluster of one node, on loopback, of this process's own.

Controller, node and munge run as root with a configuration, a key and ports of their own, so that a
Slurm that is already there is neither used nor disturbed. The node claims more processors, memory
and GPUs than the machine has: what is tested is that they are asked for and handed out.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = (
    "munged", "slurmctld", "slurmd",
    "sbatch", "squeue", "scontrol", "scancel", "srun", "sinfo", "sacct", "sacctmgr", "sshare",
)  # fmt: skip
PATIENCE = 180  # seconds that anything may take on a machine however busy
CPUS, MEMORY, GPUS = 64, 900_000, 16  # of the node; memory in MB

CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
PlugStackConfig={folder}/plugstack.conf
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=15
KillWait=5
MinJobAge=3600
MaxArraySize=1001
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

WRAPPER = """#!/bin/sh
echo {name} >> {folder}/calls
SLURM_CONF={folder}/slurm.conf exec {path} "$@"
"""


def missing() -> str | None:
    """Say why no cluster can be started here; None if one can."""
    if os.geteuid() != 0:
        return "needs root, to start Slurm"
    if lacking := [name for name in PROGRAMS if _program(name) is None]:
        return f"needs Debian's slurm-wlm and munge; not there: {', '.join(lacking)}"
    return None


class Cluster:
    """Talks to a running cluster.

    Args:
        folder: of its configuration, state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{os.environ.get('PATH', '')}",
        }
        self.host = socket.gethostname().split(".")[0]
        self._processes: dict[str, subprocess.Popen] = {}

    def ask(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def jobs(self, *fields: str, states: str = "all") -> list[tuple[str, ...]]:
        """Return fields of all jobs, such as JobID and State, arrays job by job."""
        answer = self.ask(
            "squeue", "--noheader", "--array", f"--states={states}",
            "--Format=" + ",".join(f"{field}:|" for field in fields),
        )  # fmt: skip
        lines = [line.split("|")[:-1] for line in answer.splitlines()]
        return [tuple(value.strip() for value in line) for line in lines]

    def details(self, job: str) -> dict[str, str]:
        """Return everything that scontrol says of a job."""
        words = self.ask("scontrol", "show", "job", "--oneliner", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def calls(self) -> Counter[str]:
        """Count how often each command was used so far by runs and their jobs."""
        path = self.folder / "calls"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def state(self, job: str) -> str:
        """Return a job's state, such as RUNNING."""
        return self.details(job)["JobState"]

    def start_node(self) -> None:
        """Start slurmd and wait until the node takes jobs."""
        self._start("slurmd", "slurmd", "-D", "-N", self.host)
        wait_for(lambda: self.ask("sinfo", "-h", "-o", "%t") in ("idle", "mix", "alloc"))

    def crash_node(self) -> None:
        """End slurmd and every job's processes at once, as a power cut would."""
        self._stop("slurmd", signal.SIGKILL)
        for process in self._of_this_cluster("slurmstepd"):
            _kill_tree(process)

    def start(self) -> None:
        """Start all of it."""
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        for name in PROGRAMS[3:]:
            # Jobs lose SLURM_CONF on their way, so each command brings it along; and is counted.
            path = self.folder / "bin" / name
            path.write_text(WRAPPER.format(folder=self.folder, name=name, path=_program(name)))
            path.chmod(0o755)
        (self.folder / "plugstack.conf").touch()
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "gres.conf").write_text(
            f"NodeName={self.host} Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n"
        )
        for number in range(GPUS):
            os.mknod(self.folder / f"gpu{number}", 0o20666, os.makedev(1, 3))  # as /dev/null
        text = CONFIG.format(
            folder=self.folder, host=self.host, controller_port=_free_port(),
            node_port=_free_port(), cpus=CPUS, memory=MEMORY, gpus=GPUS,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text)
        munge = {option: f"--{option}={self.folder}/munge.{end}" for option, end in
                 (("socket", "socket"), ("key-file", "key"), ("pid-file", "pid"),
                  ("log-file", "log"), ("seed-file", "seed"))}  # fmt: skip
        self._start("munged", "munged", "--foreground", "--force", *munge.values())
        wait_for((self.folder / "munge.socket").exists)
        self._start("slurmctld", "slurmctld", "-D")
        wait_for(lambda: "UP" in self.ask("scontrol", "ping"))
        self.start_node()

    def stop(self) -> None:
        """End everything that was started, jobs included."""
        with suppress(subprocess.SubprocessError):
            self.ask("scancel", "--user=root")
        for name in ("slurmctld", "slurmd", "munged"):
            self._stop(name, signal.SIGKILL)
        for process in self._of_this_cluster("slurmstepd"):
            _kill_tree(process)

    def log(self) -> str:
        """Return the ends of the daemons' logs, to say why something failed."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                # They end with this process, however it ends.
                ["setpriv", "--pdeathsig=KILL", _program(program), *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _stop(self, name: str, how: signal.Signals) -> None:
        if process := self._processes.pop(name, None):
            process.send_signal(how)
            process.wait(PATIENCE)

    def _of_this_cluster(self, name: str) -> Iterator[int]:
        """Yield the processes of that name that were started under this cluster's configuration."""
        mark = f"{self.folder}/".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    command = (entry / "comm").read_text().strip()
                    if command == name and mark in (entry / "environ").read_bytes():
                        yield int(entry.name)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster, and stop it at the end of the block, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Return once the condition holds."""
    until = time.monotonic() + patience
    while True:
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if condition():
                return
        assert time.monotonic() < until, f"{patience:.0f} s were not enough"
        time.sleep(0.2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _kill_tree(process: int) -> None:
    """Kill a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = [process]
    while waiting:
        current = waiting.pop()
        waiting += children.get(current, [])
        with suppress(ProcessLookupError):
            os.kill(current, signal.SIGKILL)

"""The files in /etc of every machine of the cluster: users, names and Slurm's own."""

import os
import shutil
from pathlib import Path

CPUS, MEMORY, GPUS = 16, 250_000, 4  # of each node, as it claims; memory in MB
LOGIN, NODES = "login", ("node1", "node2", "node3")
ADDRESSES = {LOGIN: "10.77.0.1", **{name: f"10.77.0.1{name[-1]}" for name in NODES}}
GROUP, GROUP_ID = "lab", 5000
USERS = {"root": 0, "alice": 5001, "bob": 5002}
COUNTED = (
    "sbatch", "squeue", "scontrol", "scancel", "srun", "sinfo", "sacct", "sacctmgr", "sshare",
)  # fmt: skip

CONFIG = """
ClusterName=small
SlurmctldHost={login}({addresses[login]})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=8
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/machines/%n/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=UsePss,OverMemoryKill
MpiDefault=none
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
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
{nodes}
PartitionName=DEFAULT Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=OFF
PartitionName=main Default=YES
PartitionName=short MaxTime=5
PartitionName=preempt-cancel PreemptMode=CANCEL
PartitionName=preempt-requeue PreemptMode=REQUEUE
PartitionName=urgent PriorityTier=10
"""

WITHOUT_ACCOUNTING = "AccountingStorageType=accounting_storage/none\n"

COUNTING = """#!/bin/sh
echo {name} >> {folder}/calls
exec {path} "$@"
"""


def write_files(folder: Path, more: str) -> dict[Path, Path]:
    """Write the files that all machines of a cluster share.

    Args:
        folder: of the cluster.
        more: lines of slurm.conf on accounting.

    Returns:
        what lies where on the machines.
    """
    for name in ("etc", "etc/slurm", "etc/munge", "munge", "state", "bin", "home", "machines"):
        (folder / name).mkdir()
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    etc = folder / "etc"
    _write_users(folder, etc)
    nodes = (f"NodeName={name} NodeAddr={ADDRESSES[name]}" for name in NODES)
    config = CONFIG.format(
        folder=folder, login=LOGIN, addresses=ADDRESSES, cpus=CPUS, memory=MEMORY, gpus=GPUS,
        nodes="\n".join(nodes),
    )  # fmt: skip
    (etc / "slurm/slurm.conf").write_text(config + more)
    (etc / "slurm/plugstack.conf").touch()
    (etc / "slurm/gres.conf").write_text(
        "".join(f"NodeName={name} Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n" for name in NODES)
    )
    for number in range(GPUS):
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))  # as /dev/null
    (etc / "munge/munge.key").write_bytes(os.urandom(128))
    (etc / "munge/munge.key").chmod(0o400)
    for name in COUNTED:
        path = folder / "bin" / name
        path.write_text(COUNTING.format(folder=folder, name=name, path=program(name)))
        path.chmod(0o755)
    (folder / "calls").touch()
    (folder / "calls").chmod(0o666)
    return {
        Path("/etc/passwd"): etc / "passwd",
        Path("/etc/group"): etc / "group",
        Path("/etc/slurm"): etc / "slurm",
        Path("/run/munge"): folder / "munge",
    }


def hosts(names: dict[str, str]) -> str:
    """Return /etc/hosts with these names and addresses."""
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in names.items())]
    return "\n".join(lines) + "\n"


def program(name: str) -> str | None:
    """Return the path of a program of the system, those for root included."""
    return shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")


def home(folder: Path, user: str) -> Path:
    """Return the home of a user, which all machines share."""
    return folder / "home" / user


def _write_users(folder: Path, etc: Path) -> None:
    passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for user, number in USERS.items():
        home(folder, user).mkdir(mode=0o700)
        if number:
            os.chown(home(folder, user), number, GROUP_ID)
            passwd += f"{user}:x:{number}:{GROUP_ID}::{home(folder, user)}:/bin/bash\n"
    others = ",".join(user for user, number in USERS.items() if number)
    (etc / "passwd").write_text(passwd)
    (etc / "group").write_text(group + f"{GROUP}:x:{GROUP_ID}:{others}\n")

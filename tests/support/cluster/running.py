"""Clusters that run: starting one, finding those there are, removing what dead ones left."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.files import COUNTED, program

BASE = Path("/var/tmp")  # /tmp is each machine's own
DAEMONS = ("munged", "slurmctld", "slurmd")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")


def missing(accounting: bool = False) -> str | None:
    """Return why no cluster can be started here; None if one can.

    Args:
        accounting: whether it is to have accounting.
    """
    if os.geteuid() != 0:
        return "needs root, to start Slurm in namespaces"
    wanted = (*DAEMONS, *COUNTED, "ip", *(ACCOUNTING if accounting else ()))
    if lacking := [name for name in wanted if program(name) is None]:
        packages = "slurm-wlm, munge and iproute2" + ", slurmdbd, mariadb-server" * accounting
        return f"needs Debian's {packages}; not there: {', '.join(lacking)}"
    probe = subprocess.run(
        ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--mount-proc", "sh",
         "-c", "mount -t tmpfs tmpfs /tmp && ip link add dev br0 type bridge"
               " && ip link add dev one type veth peer name two"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        return f"needs namespaces, mounts and bridges: {probe.stderr.strip()}"
    return None


@contextmanager
def running_cluster(accounting: bool = False, prefix: str = "test") -> Iterator[Cluster]:
    """Start a cluster, and stop it at the end of the block, whatever happens.

    Args:
        accounting: whether it has slurmdbd.
        prefix: by which it is found by hand.
    """
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"slurm-{prefix}-{os.getpid()}-", dir=BASE))
    folder.chmod(0o755)
    cluster = Cluster(folder, accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the folders of clusters whose process has died; nothing else of them is left."""
    for folder, owner in folders():
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def folders(prefix: str = "*") -> Iterator[tuple[Path, int]]:
    """Yield the folders of clusters, each with the process that it belongs to."""
    for folder in BASE.glob(f"slurm-{prefix}-*-*"):
        owner = folder.name.split("-")[-2]
        if owner.isdigit():
            yield folder, int(owner)

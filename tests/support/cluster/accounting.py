"""The cluster's accounting: slurmdbd and a database of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.cluster.files import GROUP, LOGIN, USERS, program
from tests.support.cluster.machine import wait_for

CONFIG = f"""AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={LOGIN}
AccountingStorageTRES=gres/gpu
"""

DAEMON_CONFIG = """
AuthType=auth/munge
DbdHost={login}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile=/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=accounting
"""


def start_accounting(folder: Path, start: Callable[..., None], ask: Callable[..., str]) -> None:
    """Start it, and enter the cluster and its users, before slurmctld starts.

    Args:
        folder: of the cluster.
        start: starts a daemon on the login node.
        ask: returns what a command on the login node prints.
    """
    daemon_config = folder / "etc/slurm/slurmdbd.conf"
    daemon_config.write_text(DAEMON_CONFIG.format(login=LOGIN, folder=folder))
    daemon_config.chmod(0o600)
    data = folder / "database"
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
         "--skip-test-db", "--auth-root-authentication-method=normal"],
        check=True, capture_output=True,
    )  # fmt: skip
    socket = "/run/mysqld/mysqld.sock"  # of that machine alone; where slurmdbd looks for it
    ask("mkdir", "-p", str(Path(socket).parent))
    start(
        program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={socket}",
        "--skip-networking", "--user=root", "--innodb-lock-wait-timeout=900",
        "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
        "--pid-file=/run/mysqld/mysqld.pid",
    )  # fmt: skip
    wait_for(lambda: ask("mariadb", "--no-defaults", f"--socket={socket}", "-e", "select 1"))
    start(program("slurmdbd"), "-D")
    wait_for(lambda: "Cluster" in ask("sacctmgr", "show", "cluster"))
    ask("sacctmgr", "-i", "add", "cluster", "small")
    ask("sacctmgr", "-i", "add", "account", GROUP)
    others = ",".join(user for user, number in USERS.items() if number)
    ask("sacctmgr", "-i", "add", "user", others, f"account={GROUP}")

"""Commands on the machines of a cluster, and what Slurm says on them."""

import math
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.cluster.files import GROUP_ID, LOGIN, USERS, home
from tests.support.cluster.machine import entering

SIGNALS = "INT,TERM"
PASSED_ON = ("OMP_NUM_THREADS", "NO_COLOR", "COLUMNS", "TZ")


class Access:
    """Runs commands on a cluster, which may belong to another process.

    Args:
        folder: of all its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"  # what users and nodes share; /tmp is each machine's own

    def command(
        self,
        *command: str,
        user: str = "root",
        node: str = LOGIN,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> list[str]:
        """Return the command line that runs a command on one of the machines.

        Args:
            user: root, alice or bob.
            node: login, or one of the nodes.
            folder: to run in; the user's home by default.
            environment: variables to set, beside those of a login.
        """
        pid = int((self.folder / "machines" / node / "pid").read_text())
        number = USERS[user]
        identity = [
            "setpriv", f"--reuid={number}", f"--regid={GROUP_ID}", "--init-groups",
        ] if number else []  # fmt: skip
        variables = {
            "PATH": f"{self.folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home(self.folder, user)),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **(environment or {}),
        }
        # Signals are for the command, whose end nsenter tells.
        return [
            "env", f"--ignore-signal={SIGNALS}", *entering(pid), *identity,
            "env", "-i", f"--default-signal={SIGNALS}",
            f"--chdir={folder or home(self.folder, user)}",
            *(f"{name}={value}" for name, value in variables.items()), *command,
        ]  # fmt: skip

    def run(
        self,
        *command: str,
        user: str = "root",
        node: str = LOGIN,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess:
        """Run a command on one of the machines, see `command`; its text is captured.

        Args:
            options: of subprocess.run, such as check or umask.
        """
        line = self.command(*command, user=user, node=node, folder=folder, environment=environment)
        options = {"check": True, "timeout": 600, **options}
        return subprocess.run(line, capture_output=True, text=True, **options)

    def ask(self, *command: str, user: str = "root", node: str = LOGIN) -> str:
        """Return what a short command prints."""
        return self.run(*command, user=user, node=node, timeout=60).stdout.strip()

    def give(self, folder: Path, user: str) -> None:
        """Hand a folder and all that it holds to a user."""
        subprocess.run(["chown", "-R", f"{USERS[user]}:{GROUP_ID}", str(folder)], check=True)

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

    def state(self, job: str) -> str:
        """Return a job's state, such as RUNNING."""
        return self.details(job)["JobState"]

    def limit(self, job: str) -> None:
        """Have a job's time limit, in whole minutes of its run, pass in 45 to 105 seconds."""
        hours, minutes, seconds = map(int, self.details(job)["RunTime"].split(":"))
        limit = math.ceil(hours * 60 + minutes + (seconds + 45) / 60)
        self.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")

    def nodes_of(self, job: str) -> list[str]:
        """Return the nodes that a job has."""
        names = self.ask("scontrol", "show", "hostnames", self.details(job)["NodeList"])
        return names.splitlines()

    def calls(self) -> Counter[str]:
        """Count how often each command was used so far by runs and their jobs."""
        return Counter((self.folder / "calls").read_text().splitlines())

    def log(self) -> str:
        """Return the ends of the daemons' logs, to say why something failed."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

"""A cluster by hand.

python -m tests.support.cluster up [--prefix a] [--accounting]
python -m tests.support.cluster run [--prefix a] [--user alice] [--node login] COMMAND...
python -m tests.support.cluster down [--prefix a]
"""

import os
import signal
import subprocess
import sys
import time
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from tests.support.cluster.access import Access
from tests.support.cluster.files import LOGIN, NODES, USERS
from tests.support.cluster.running import folders, missing, running_cluster


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="action", required=True)
    for name in ("up", "run", "down"):
        commands.add_parser(name).add_argument("--prefix", default="hand")
    commands.choices["up"].add_argument("--accounting", action="store_true")
    commands.choices["run"].add_argument("--user", choices=USERS, default="root")
    commands.choices["run"].add_argument("--node", choices=(LOGIN, *NODES), default=LOGIN)
    commands.choices["run"].add_argument("command", nargs=REMAINDER)
    arguments = parser.parse_args()
    if arguments.action == "up":
        _up(arguments.prefix, arguments.accounting)
        return
    found = [(folder, owner) for folder, owner in folders(arguments.prefix) if _alive(owner)]
    if len(found) != 1:
        raise SystemExit(f"error: {len(found)} clusters run with --prefix {arguments.prefix}")
    [(folder, owner)] = found
    if arguments.action == "down":
        os.kill(owner, signal.SIGTERM)
        while folder.exists() and _alive(owner):
            time.sleep(0.1)
        return
    command = arguments.command or ["bash"]
    if command[0] == "--":
        del command[0]
    line = Access(folder).command(
        *command, user=arguments.user, node=arguments.node, folder=Path.cwd()
    )
    sys.exit(subprocess.run(line, check=False).returncode)


def _up(prefix: str, accounting: bool) -> None:
    if reason := missing(accounting):
        raise SystemExit(f"error: {reason}")
    if any(_alive(owner) for _, owner in folders(prefix)):
        raise SystemExit(f"error: a cluster runs already with --prefix {prefix}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with running_cluster(accounting, prefix) as cluster:
        print(f"up: {', '.join((LOGIN, *NODES))}; what they share: {cluster.shared}", flush=True)
        while True:
            signal.pause()


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


if __name__ == "__main__":
    main()

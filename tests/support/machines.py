"""Two machines on one network, made of namespaces, without Slurm."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT

needs_namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces")


class Machine:
    """A name, a network and an /etc/hosts of its own; the files are everyone's.

    Args:
        name: of the host.
        folder: for the file that takes the place of /etc/hosts.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.hosts = folder / f"hosts-{name}"
        self.hosts.touch()
        script = f"hostname {name} && mount --bind {self.hosts} /etc/hosts && echo up && read end"
        self.process = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"up\n"
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command: str) -> list[str]:
        """Return the command line that runs a command on this machine."""
        return ["nsenter", f"--target={self.process.pid}", "--net", "--uts", "--mount", *command]

    def run(self, *command: str) -> str:
        """Return what a command prints there."""
        return subprocess.run(
            self.command(*command), capture_output=True, text=True, check=True
        ).stdout

    def python(self, program: str, **environment: str) -> subprocess.Popen:
        """Start a program of Python there."""
        return subprocess.Popen(
            self.command(sys.executable, "-c", program),
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def connect(self, other: "Machine", interface: str, network: str) -> None:
        """Connect two machines by a network, such as 10.1.0.; this one is its number 1."""
        link = ["ip", "link", "add", interface, "netns", str(self.process.pid), "type", "veth",
                "peer", "name", interface, "netns", str(other.process.pid)]  # fmt: skip
        subprocess.run(link, check=True)
        for number, machine in enumerate((self, other), 1):
            size = 64 if ":" in network else 24
            address = f"{network}{number}/{size}"
            no_wait = ["nodad"] if ":" in network else []
            machine.run("ip", "address", "add", address, "dev", interface, *no_wait)
            machine.run("ip", "link", "set", interface, "up")


@contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Make machines named one and two, with no network but their own loopback."""
    machines = Machine("one", folder), Machine("two", folder)
    try:
        yield machines
    finally:
        for machine in machines:
            machine.process.communicate(b"end\n")

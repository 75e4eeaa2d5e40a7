"""The cluster: its machines, their network, Slurm on them, and what can happen to them."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.cluster.access import Access
from tests.support.cluster.accounting import CONFIG as WITH_ACCOUNTING
from tests.support.cluster.accounting import start_accounting
from tests.support.cluster.files import (
    ADDRESSES,
    LOGIN,
    NODES,
    WITHOUT_ACCOUNTING,
    hosts,
    program,
    write_files,
)
from tests.support.cluster.machine import PATIENCE, Machine, wait_for


class Cluster(Access):
    """A cluster of this process's own.

    Args:
        folder: of all its files.
        accounting: whether it has slurmdbd.
    """

    def __init__(self, folder: Path, accounting: bool = False) -> None:
        super().__init__(folder)
        self.accounting = accounting
        self.machines: dict[str, Machine] = {}
        self._daemons: dict[tuple[str, str], subprocess.Popen] = {}

    def crash(self, node: str) -> None:
        """End a node, slurmd and every job's processes at once, as a power cut would."""
        self._daemons.pop((node, "slurmd")).kill()
        self.machines[node].stop()

    def boot(self, node: str) -> None:
        """Start a node that crashed, which loses its jobs, and wait until it takes new ones."""
        self.declare_lost(node)  # the controller would see by itself, in a minute and a half
        self._switch_on(node)
        self._start_slurmd(node)
        self._wait_until_up((node,))

    def cut(self, node: str) -> None:
        """Take a node off the network; what runs on it goes on."""
        self._network(LOGIN, f"link set to-{node} down")

    def reconnect(self, node: str) -> None:
        """Give a node its network back, and wait until it takes jobs."""
        self._network(LOGIN, f"link set to-{node} up")
        if self.ask("sinfo", "-h", "-N", "-o", "%T", "-n", node).startswith("down"):
            self.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self._wait_until_up((node,))

    def declare_lost(self, node: str) -> None:
        """Have the controller give a node up at once, as it does by itself after SlurmdTimeout."""
        self.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def set_hosts(self, node: str, names: dict[str, str] | None = None) -> None:
        """Set the names that a machine resolves.

        Args:
            names: with their addresses; all machines with theirs by default.
        """
        # Written in place: it is mounted.
        (self.folder / "machines" / node / "hosts").write_text(
            hosts(ADDRESSES if names is None else names)
        )

    def preempt(self, job: str) -> str:
        """Take a job's first node for a moment, by a job of the partition `urgent`; its number."""
        return self.ask(
            "sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null",
            f"--nodelist={self.nodes_of(job)[0]}", "--wrap=true",
        )  # fmt: skip

    def kill(self, node: str, *words: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the processes of a node whose command lines hold all of these words.

        Returns:
            how many those were.
        """
        count = 0
        for pid, line in list(self.machines[node].processes()):
            if all(word in " ".join(line) for word in words):
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
                    count += 1
        return count

    def stop_controller(self) -> None:
        """End slurmctld, so that no command of Slurm gets an answer."""
        self._stop(LOGIN, "slurmctld")

    def start_controller(self) -> None:
        """Start slurmctld, which goes on with the jobs that it knew."""
        self._start(LOGIN, program("slurmctld"), "-D")
        wait_for(lambda: "UP" in self.ask("scontrol", "ping"))

    def start(self) -> None:
        """Start all of it."""
        more = WITH_ACCOUNTING if self.accounting else WITHOUT_ACCOUNTING
        mounts = write_files(self.folder, more)
        for name in (LOGIN, *NODES):
            own = self.folder / "machines" / name
            own.mkdir()
            for what in ("spool", "kept"):
                (own / what).mkdir()
            (own / "hostname").write_text(f"{name}\n")
            self.set_hosts(name)
            its_own = {Path("/etc") / what: own / what for what in ("hosts", "hostname")}
            self.machines[name] = Machine(name, own, mounts | its_own)
        self.machines[LOGIN].start()
        self._network(
            LOGIN,
            # An address of its own, or it would take one of those that come and go.
            "link add dev br0 address 02:00:00:00:77:01 type bridge",
            f"address add {ADDRESSES[LOGIN]}/24 dev br0",
            "link set br0 up",
        )
        etc, run = self.folder / "etc/munge/munge.key", "/run/munge"
        self._start(
            LOGIN, program("munged"), "--foreground", "--force", f"--key-file={etc}",
            *(f"--{what}-file={run}/munged.{what}" for what in ("pid", "log", "seed")),
        )  # fmt: skip
        for name in NODES:
            self._switch_on(name)
        wait_for((self.folder / "munge/munge.socket.2").exists)
        if self.accounting:
            start_accounting(self.folder, lambda *line: self._start(LOGIN, *line), self.ask)
        for name in NODES:
            self._start_slurmd(name)
        self.start_controller()
        self._wait_until_up(NODES)

    def stop(self) -> None:
        """End everything that was started, jobs included."""
        for machine in self.machines.values():
            machine.stop()
        for process in self._daemons.values():
            process.wait(PATIENCE)

    def _switch_on(self, node: str) -> None:
        machine = self.machines[node]
        machine.start()
        with suppress(subprocess.CalledProcessError):  # of the machine before, if it is still there
            self._network(LOGIN, f"link delete to-{node}")
        self._network(
            LOGIN,
            f"link add dev to-{node} type veth peer name eth0 netns {machine.pid}",
            f"link set to-{node} master br0 up",
        )
        self._network(node, f"address add {ADDRESSES[node]}/24 dev eth0", "link set eth0 up")

    def _start_slurmd(self, node: str) -> None:
        self._start(node, program("slurmd"), "-D")

    def _wait_until_up(self, nodes: tuple[str, ...]) -> None:
        names, fine = ",".join(nodes), {"idle", "mix", "alloc"}
        wait_for(lambda: {*self.ask("sinfo", "-h", "-N", "-o", "%t", "-n", names).split()} <= fine)

    def _network(self, node: str, *commands: str) -> None:
        """Run commands of ip in the network of a machine, with the processes as seen from here."""
        enter = ["nsenter", f"--target={self.machines[node].pid}", "--net"]
        subprocess.run(
            [*enter, "ip", "-batch", "-"],
            input="\n".join(commands), text=True, check=True, capture_output=True,
        )  # fmt: skip

    def _start(self, node: str, daemon: str | None, *arguments: str) -> None:
        assert daemon
        name = Path(daemon).name
        with (self.folder / f"{node}-{name}.out.log").open("ab") as output:
            self._daemons[node, name] = subprocess.Popen(
                self.command(daemon, *arguments, node=node),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _stop(self, node: str, name: str) -> None:
        process = self._daemons.pop((node, name))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

"""Nodes meet on any network that they share; where they cannot, the node and its address are named.

What `srun` does, starting `node` on each machine, is left to tests/cluster.
"""

import json
from dataclasses import asdict

import pytest

from tests.support.distributed_work import Work
from tests.support.machines import needs_namespaces, two_machines
from workflow.lib.parallel.launching.meeting import Meeting
from workflow.lib.parallel.launching.notes import raise_cause
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing

pytestmark = [pytest.mark.slow, needs_namespaces]

OPEN = """
from workflow.lib.parallel.launching.addresses import own_address
from workflow.lib.parallel.launching.meeting import open_store
host = own_address({peers!r})
store = open_store(host, 60)
print(host, store.port, flush=True)
input()
"""
NODE = """
from pathlib import Path
from workflow.lib.parallel.launching.node import main
main(Path({description!r}))
"""
NETWORKS = {"IPv4": "10.1.0.", "IPv6": "fd00::"}


class Run:
    """The work `add` on two machines.

    Args:
        folder: for its files.
        machines: on which it runs; the first has the store.
        peers: what the first knows of the second.
        patience: seconds.
        chosen: the user's variables on the first machine.
    """

    def __init__(self, folder, machines, peers, patience=60, **chosen):
        self.folder, self.machines = folder, machines
        folder.mkdir()
        self.store = machines[0].python(OPEN.format(peers=peers), **chosen)
        self.host, port = self.store.stdout.readline().split()
        names = [machine.name for machine in machines]
        self.meeting = Meeting(names, 1, "one", self.host, int(port), folder.name, patience)
        work = Work(name="add", folder=folder, computing=Computing(device="cpu", patience=patience))
        description = {
            "class": "tests.support.distributed_work:Work",
            "job": work.model_dump(mode="json"),
            "meeting": asdict(self.meeting),
            "log": str(folder / "log"),
        }
        (folder / "job.json").write_text(json.dumps(description))
        self.nodes = []

    def start(self, *numbers, **chosen):
        """Start the nodes with these numbers."""
        for number in numbers:
            machine = self.machines[number]
            program = NODE.format(description=str(self.folder / "job.json"))
            self.nodes.append(machine.python(program, SLURMD_NODENAME=machine.name, **chosen))

    def end(self):
        """Wait for them; how they ended, and the error of the job, if any."""
        codes = [(node.communicate(timeout=300), node.returncode)[1] for node in self.nodes]
        self.store.communicate("end\n")
        if not any(codes):
            return None
        with pytest.raises(UserError) as error:
            raise_cause(self.folder, 2, self.meeting.patience)
        return str(error.value)


@pytest.fixture(params=NETWORKS)
def machines(request, tmp_path):
    """Machines whose names stand for 127.0.1.1, and know each other by names or not at all."""
    with two_machines(tmp_path) as machines:
        network = NETWORKS[request.param]
        machines[0].connect(machines[1], "eth0", network)
        machines[0].connect(machines[1], "eth1", "10.9.0.")
        machines[0].hosts.write_text(f"127.0.1.1 one\n{network}2 two\n")
        machines[1].hosts.write_text("127.0.1.1 two\n")
        yield machines


def test_two_machines_compute_together_and_two_jobs_at_once(machines, tmp_path):
    runs = [Run(tmp_path / name, machines, ["two"]) for name in ("a", "b")]
    for run in runs:
        run.start(0, 1)
    assert [run.end() for run in runs] == [None, None]
    for run in runs:
        assert "the sum is 3, says 0, on cpu" in (run.folder / "log").read_text()


@pytest.mark.parametrize("machines", ["IPv4"], indirect=True)
def test_an_address_that_is_not_reached_is_named_with_its_node(machines, tmp_path):
    machines[0].run("ip", "link", "add", "ib0", "type", "veth", "peer", "name", "ib1")
    machines[0].run("ip", "address", "add", "10.5.0.1/24", "dev", "ib0")
    machines[0].run("ip", "link", "set", "ib0", "up")
    run = Run(tmp_path / "a", machines, ["two"], patience=5, GLOO_SOCKET_IFNAME="ib0")
    run.start(1, GLOO_SOCKET_IFNAME="eth0")
    assert run.end() == (
        f"the nodes do not reach each other: from two, one cannot be reached at 10.5.0.1, port "
        f"{run.meeting.port} (Network is unreachable); if the nodes share another network, set "
        "GLOO_SOCKET_IFNAME to its interface"
    )


@pytest.mark.parametrize("machines", ["IPv4"], indirect=True)
def test_a_machine_that_hears_nobody_is_named_too(machines, tmp_path):
    """The second reaches the first, which does not reach the second."""
    machines[1].run("ip", "link", "add", "ib0", "type", "veth", "peer", "name", "ib1")
    machines[1].run("ip", "address", "add", "10.5.0.2/24", "dev", "ib0")
    machines[1].run("ip", "link", "set", "ib0", "up")
    run = Run(tmp_path / "a", machines, ["two"], patience=20)
    run.start(0)
    run.start(1, GLOO_SOCKET_IFNAME="ib0")
    assert run.end().startswith(
        "the nodes do not reach each other: from one, two cannot be reached at 10.5.0.2, port "
    )


@pytest.mark.parametrize("machines", ["IPv4"], indirect=True)
def test_a_machine_that_does_not_come_is_waited_for_no_longer_than_patience(machines, tmp_path):
    run = Run(tmp_path / "a", machines, ["two"], patience=3)
    run.start(0)
    assert run.end() == (
        "the 2 processes did not connect: no rendezvous (one: two did not start within 3 s)"
    )

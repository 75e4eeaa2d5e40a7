"""The address that a node publishes is one that the others reach, whatever its name stands for."""

import json

import pytest

from tests.support.machines import needs_namespaces, two_machines
from tests.support.squeue import fake_squeue
from workflow.lib.parallel.launching.allocation import addresses, nodes_of_job
from workflow.lib.runtime.errors import PassingError, UserError

OWN = """
import json, os
from workflow.lib.parallel.launching.addresses import choose_interface, own_address
from workflow.lib.runtime.errors import UserError
try:
    address = own_address({peers!r})
    choose_interface(address)
    chosen = [os.environ.get(f"{{name}}_SOCKET_IFNAME") for name in ("GLOO", "NCCL")]
    print(json.dumps([address, *chosen]))
except UserError as error:
    print(json.dumps(str(error)))
"""
ALL = (  # a network, the name of the second machine's interface in it
    ("eth0", "10.1.0."),
    ("eth1", "10.2.0."),
    ("eth2", "fd00::"),
)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with two_machines(tmp_path_factory.mktemp("machines")) as machines:
        for interface, network in ALL:
            machines[0].connect(machines[1], interface, network)
        yield machines


def ask(machine, peers, hosts="", **environment):
    """Return what a machine says of itself: address, gloo's and NCCL's interface, or an error."""
    machine.hosts.write_text(hosts)
    said, failed = machine.python(OWN.format(peers=peers), **environment).communicate()
    assert not failed
    return json.loads(said)


@needs_namespaces
@pytest.mark.parametrize(
    ("peers", "hosts", "expected"),
    [
        (["10.1.0.2"], "", ["10.1.0.1", "eth0", "=eth0"]),
        (["10.1.0.2"], "127.0.1.1 one", ["10.1.0.1", "eth0", "=eth0"]),
        (["10.2.0.2"], "10.1.0.1 one", ["10.2.0.1", "eth1", "=eth1"]),
        (["two"], "127.0.1.1 one\n10.2.0.2 two", ["10.2.0.1", "eth1", "=eth1"]),
        (["three", "two"], "10.1.0.2 two", ["10.1.0.1", "eth0", "=eth0"]),
        (["two"], "127.0.1.1 one\nfd00::2 two", ["fd00::1", "eth2", "=eth2"]),
        (["127.0.0.1"], "", ["127.0.0.1", "lo", None]),
    ],
)
def test_a_node_is_known_by_the_address_from_which_it_reaches_others(
    machines, peers, hosts, expected
):
    assert ask(machines[0], peers, hosts) == expected


@needs_namespaces
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"GLOO_SOCKET_IFNAME": "eth1"}, ["10.2.0.1", "eth1", "=eth1"]),
        ({"GLOO_SOCKET_IFNAME": "ib0,eth2"}, ["fd00::1", "ib0,eth2", "=ib0,eth2"]),
        ({"NCCL_SOCKET_IFNAME": "ib"}, ["10.1.0.1", "eth0", "ib"]),
    ],
)
def test_a_user_may_choose_the_interface(machines, chosen, expected):
    assert ask(machines[0], ["10.1.0.2"], **chosen) == expected


@needs_namespaces
def test_an_interface_that_is_not_there_is_named(machines):
    line = ask(machines[0], ["10.1.0.2"], GLOO_SOCKET_IFNAME="ib0")
    assert line == (
        "GLOO_SOCKET_IFNAME is ib0, but one has no such interface with an address; it has lo, "
        "eth0, eth1, eth2"
    )


@needs_namespaces
def test_peers_without_an_address_are_named(machines):
    line = ask(machines[0], ["three", "203.0.113.1"])
    assert line.startswith("one has no way to the other nodes (three: ")
    assert "203.0.113.1: Network is unreachable" in line
    assert line.endswith("set GLOO_SOCKET_IFNAME to its interface")


def test_names_and_addresses_are_read_from_what_slurm_says():
    said = (
        "NodeName=n1 Arch=x86_64 CoresPerSocket=1 NodeAddr=10.0.0.1 NodeHostName=one Version=22\n"
        "NodeName=n2 CoresPerSocket=1 NodeAddr=fd00::2 NodeHostName=n2 Comment=NodeAddr=x\n"
        "NodeName=n3 Arch=x86_64 NodeAddr=n3.cluster NodeHostName=n3"
    )
    assert addresses(said) == {"n1": "10.0.0.1", "n2": "fd00::2", "n3": "n3.cluster"}


def test_jobs_of_several_nodes_are_refused_in_an_array(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    with pytest.raises(UserError, match="cannot be submitted as an array; leave their rules out"):
        nodes_of_job()


def test_a_slurm_that_does_not_answer_costs_an_attempt_and_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PassingError, match=r"^squeue cannot be started: No such file.*; run the"):
        nodes_of_job()
    fake_squeue(tmp_path, monkeypatch)("n[1-2]\n")
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'cannot connect' >&2\nexit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    with pytest.raises(PassingError, match=r"^scontrol fails: cannot connect; run the same"):
        nodes_of_job()


def test_a_job_that_slurm_does_not_list_has_no_nodes(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    fake_squeue(tmp_path, monkeypatch)("")
    assert nodes_of_job() == {}

"""The nodes of a job find each other before any process starts."""

import socket
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import DistError, PrefixStore, TCPStore

from workflow.lib.parallel.launching.addresses import (
    OTHER_NETWORK,
    choose_interface,
    connect,
    own_address,
)
from workflow.lib.runtime.errors import UserError

SECONDS_TO_CONNECT = 20  # to a port that is open


@dataclass(frozen=True)
class Meeting:
    """Where the nodes of a job meet.

    Args:
        nodes: their names.
        gpus: processes on each.
        opened_by: name of the machine with the store through which they meet.
        host: address of the store.
        port: of the store; 0 takes a free one.
        name: of the job, so that no other joins it.
        patience: seconds to wait for a node.
    """

    nodes: list[str]
    gpus: int
    opened_by: str
    host: str
    port: int
    name: str
    patience: float

    @property
    def endpoint(self) -> str:
        """Host and port in one."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class MissingNodeError(Exception):
    """A node that did not come."""


def open_store(host: str, patience: float) -> TCPStore:
    """Return a store in this process for the nodes to meet in, at a port that is free."""
    return TCPStore(
        host, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=patience)
    )


def meet(meeting: Meeting, node: str) -> str:
    """Choose an address of this node, and return it once all nodes have reached each other.

    Args:
        meeting: all nodes.
        node: the name of this one.

    Raises:
        UserError: another node cannot be reached.
        MissingNodeError: another node did not start.
    """
    address = own_address([meeting.host])
    choose_interface(address)
    if meeting.nodes == [node]:
        return address
    seconds = min(meeting.patience, SECONDS_TO_CONNECT)

    def reach(other: str, host: str, port: int) -> None:
        if reason := connect(host, port, seconds):
            raise UserError(
                f"{other} cannot be reached at {host}, port {port} ({reason}); {OTHER_NETWORK}"
            )

    reach(meeting.opened_by, meeting.host, meeting.port)
    patience = timedelta(seconds=meeting.patience)
    store = PrefixStore(
        meeting.name, TCPStore(meeting.host, meeting.port, is_master=False, timeout=patience)
    )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        store.set(node, f"{address} {server.getsockname()[1]}")
        _wait(store, meeting.nodes, "did not start", meeting.patience)
        for other in meeting.nodes:
            host, port = store.get(other).decode().split()
            reach(other, host, int(port))
        store.set(f"{node} has reached all", "")
        everywhere = [f"{other} has reached all" for other in meeting.nodes]
        _wait(store, everywhere, "did not come", meeting.patience)
    return address


def _wait(store: PrefixStore, keys: list[str], what: str, patience: float) -> None:
    """Wait until other nodes have set their keys."""
    try:
        store.wait(keys, timedelta(seconds=patience))
    except DistError as error:
        missing = [key.split()[0] for key in keys if not store.check([key])]
        message = f"{' and '.join(missing)} {what} within {patience:g} s"
        raise MissingNodeError(message) from error

"""The address at which other nodes of a job reach this one, and the interface that has it.

No node looks up its own name: on the node itself it often stands for 127.0.1.1, and elsewhere for
nothing. The kernel is asked instead from which address it sends to another node.
"""

import fcntl
import os
import socket
import struct
import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from workflow.lib.runtime.errors import UserError

GLOO, NCCL = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"
OTHER_NETWORK = f"if the nodes share another network, set {GLOO} to its interface"
SECONDS_BETWEEN_ATTEMPTS = 0.5
# Of Linux on 64 bits: the call that lists IPv4 addresses, and an entry's name and address.
SIOCGIFCONF, ENTRY = 0x8912, struct.Struct("16s 4x 4s 16x")
LINK_LOCAL = "20"  # in /proc/net/if_inet6


def own_address(peers: Iterable[str]) -> str:
    """Return the address at which other nodes reach this one.

    It is that of the interface named by GLOO_SOCKET_IFNAME where a user has set it, and otherwise
    the one from which this node sends to the first of its peers.

    Args:
        peers: addresses or names of other nodes.

    Raises:
        UserError: there is no such interface, or no peer has an address.
    """
    node = os.uname().nodename
    if chosen := os.environ.get(GLOO):
        return _address_of_interface(chosen, node)
    reasons = []
    for peer in peers:
        try:
            for family, kind, _, _, target in socket.getaddrinfo(peer, 9, type=socket.SOCK_DGRAM):
                with socket.socket(family, kind) as probe:
                    probe.connect(target)  # sends nothing
                    return str(probe.getsockname()[0])
        except OSError as error:
            reasons.append(f"{peer}: {error.strerror}")
    raise UserError(f"{node} has no way to the other nodes ({'; '.join(reasons)}); {OTHER_NETWORK}")


def choose_interface(address: str) -> None:
    """Have gloo and NCCL use the interface with an address, unless a user chose another.

    NCCL, which has faster ways between the GPUs of one machine, is left alone there.
    """
    for interface, found in interfaces():
        if found == address:
            os.environ.setdefault(GLOO, interface)
            if not ip_address(address).is_loopback:
                os.environ.setdefault(NCCL, f"={os.environ[GLOO]}")  # = for exactly this name
            return


def interfaces() -> list[tuple[str, str]]:
    """Return names and addresses of this machine's interfaces, IPv4 first; Linux only."""
    found = []
    buffer = array("B", bytes(1024 * ENTRY.size))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError):
        request = struct.pack("iP", len(buffer), buffer.buffer_info()[0])
        size = struct.unpack_from("i", fcntl.ioctl(any_socket, SIOCGIFCONF, request))[0]
        for name, address in ENTRY.iter_unpack(buffer[:size].tobytes()):
            found.append((name.rstrip(b"\0").decode(), socket.inet_ntoa(address)))
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _, _, scope, _, name = line.split()
            if scope != LINK_LOCAL:
                found.append((name, str(IPv6Address(int(digits, 16)))))
    return found


def connect(address: str, port: int, seconds: float) -> str | None:
    """Try for some seconds to reach a port; return why it cannot be reached, None if it can."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address, port), max(0.1, until - time.monotonic())).close()
            return None
        except OSError as error:
            if time.monotonic() + SECONDS_BETWEEN_ATTEMPTS >= until:
                return error.strerror or "no answer"
        time.sleep(SECONDS_BETWEEN_ATTEMPTS)


def _address_of_interface(chosen: str, node: str) -> str:
    """Return the first address of the first interface that this machine has."""
    found = interfaces()
    for wanted in chosen.split(","):
        for name, address in found:
            if name == wanted:
                return address
    there = ", ".join(dict.fromkeys(name for name, _ in found))
    raise UserError(
        f"{GLOO} is {chosen}, but {node} has no such interface with an address; it has {there}"
    )

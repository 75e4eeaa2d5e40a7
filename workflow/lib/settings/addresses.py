"""The address of a judge's server: one of HTTP, or `file:` and the path of a file that holds it."""

from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator

FILE = "file:"  # before the path of a file that holds an address


def check_address(address: str) -> str:
    """Refuse an address that no request can be sent to, or one with a password in it.

    A password would end up in the records of the run.
    """
    parts = urlsplit(address)
    usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not usable or parts.fragment or not address.isprintable() or " " in address:
        raise ValueError("should be an address such as http://localhost:11434")
    if parts.username is not None:
        raise ValueError("should contain no user name or password")
    return address


def refuse_endings(address: str, endings: tuple[str, ...], instead: str = "") -> str:
    """Refuse an address that goes on to a single call of the server's protocol.

    Args:
        address: of a server, or `file:` and a path.
        endings: paths that do not belong to it, the longest first.
        instead: path that it should end with.
    """
    if address.startswith(FILE):
        return address
    parts = urlsplit(address)
    path = parts.path.rstrip("/")
    for ending in endings:
        if path.endswith(ending):
            right = urlunsplit(parts._replace(path=path.removesuffix(ending) + instead))
            raise ValueError(f"should be {right}, without {ending}")
    return address


def _address_or_file(address: str) -> str:
    if address.startswith(FILE) and address != FILE:
        return address
    return check_address(address)


Address = Annotated[str, AfterValidator(_address_or_file)]

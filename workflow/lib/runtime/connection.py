"""How HTTP clients connect: proxies and certificates, which environment variables name.

The clients read these variables themselves, but fail with a traceback over a value that they cannot
use, even if the address needs neither.
"""

import errno
import os
import ssl
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.printable import keep_secret

_SOCKS = ("socks5", "socks5h")


def client_options(address: str) -> dict[str, Any]:
    """Return the arguments of an httpx client that say how to reach an address.

    Args:
        address: of a server or file; one on this machine is reached without a proxy.

    Raises:
        UserError: an environment variable that matters here has a value that cannot be used.
    """
    return {"trust_env": False, "proxy": _proxy(address), "verify": _certificates(address)}


def is_loopback(address: str) -> bool:
    """Return whether an address is one of this machine."""
    host = urlsplit(address).hostname or ""
    try:
        ip = ip_address(host)
        return ip.is_loopback or ip.is_unspecified
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def tls_problem(address: str, error: BaseException) -> str | None:
    """Return what is wrong, and what to do, if a connection failed for TLS."""
    found: BaseException | None = error
    text = ""
    while found is not None:
        text += str(found)
        found = found.__cause__ or found.__context__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"the certificate of {address} is not trusted; if it is one of your own network, name "
            "the file with its root certificate in the environment variable SSL_CERT_FILE"
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return f"{address} does not speak TLS; should it begin with http://?"
    return None


def read_key(variable: str) -> str | None:
    """Return the key that an environment variable holds, if it holds one; it is never shown.

    Raises:
        UserError: it holds characters that no request can carry; the key itself is not shown.
    """
    key = os.environ.get(variable, "").strip()
    for number, character in enumerate(key, 1):
        if not _is_plain(character) or (number == 1 and character in "\"'"):
            shown = unicodedata.name(character, "").lower() or f"U+{ord(character):04X}"
            raise UserError(
                f"the environment variable {variable} holds no key: character {number} of "
                f"{len(key)} is a {shown}; copy the key again, without quotes, spaces and line "
                "breaks"
            )
    keep_secret(key)
    return key or None


@contextmanager
def plain_environment(*variables: str) -> Iterator[None]:
    """Remove variables from the environment for a while, and those of proxies and certificates.

    For packages that open a client when they are imported, with whatever the environment holds.

    Args:
        variables: names of more variables.
    """
    lowered = {name.lower() for name in (*variables, *_CERTIFICATES, "SSLKEYLOGFILE")}
    removed = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.lower() in lowered or name.lower().endswith("_proxy")
    }
    try:
        yield
    finally:
        os.environ.update(removed)


def _proxy(address: str) -> str | None:
    """Return the proxy for an address, if the environment names one."""
    parts = urlsplit(address)
    if is_loopback(address) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    if not (proxy := proxies.get(kind)):
        return None
    named = [n for n, v in os.environ.items() if v and n.lower() == f"{kind}_proxy"]
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    # The lower-case name counts if both are set; without any, it is one of the system's settings.
    variable = f"the environment variable {max(named)}" if named else "the system's proxy"
    wrong = f"{variable} is {_without_password(proxy)!r}"
    way_on = f"correct or unset it, or add {parts.hostname} to NO_PROXY"
    try:
        found = urlsplit(proxy)
        usable = found.hostname is not None and found.port != 0 and _is_plain(proxy)
    except ValueError:
        usable = False
    if not usable or found.scheme not in ("http", "https", *_SOCKS):
        raise UserError(
            f"{wrong}, which is no proxy that can be used; it should be like "
            f"http://proxy.example.org:3128; {way_on}"
        )
    if found.scheme in _SOCKS and find_spec("socksio") is None:
        raise UserError(
            f"{wrong}, and a SOCKS proxy needs the Python package socksio: install it, {way_on}"
        )
    return proxy


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _without_password(proxy: str) -> str:
    """Return the address of a proxy as it may be shown."""
    scheme, _, rest = proxy.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://***@{host}" if user and at else proxy


_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def _certificates(address: str) -> ssl.SSLContext | bool:
    """Return the certificates to trust, or True for the client's own.

    An address without TLS may go on without those of the environment.
    """
    _check_key_log()
    file, folder = (os.environ.get(name) or None for name in _CERTIFICATES)
    if not file and not folder:
        return True
    variable, value = (_CERTIFICATES[0], file) if file else (_CERTIFICATES[1], folder)
    try:
        if not file and not Path(folder or "").is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return _context(file, None if file else folder)
    except OSError as error:  # ssl.SSLError is one
        if urlsplit(address).scheme != "https":
            return True
        raise UserError(
            f"the environment variable {variable} ({value!r}) names what cannot be read: "
            f"{error.strerror or error}; correct or unset it"
        ) from error


@cache
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Read the certificates once: it takes longer than most replies of a small judge."""
    return ssl.create_default_context(cafile=file, capath=folder)


def _check_key_log() -> None:
    """Raise UserError if the file for TLS keys, which Python opens for every client, cannot be."""
    if path := os.environ.get("SSLKEYLOGFILE"):
        try:
            with open(path, "ab"):  # noqa: PTH123
                pass
        except OSError as error:
            raise UserError(
                f"the environment variable SSLKEYLOGFILE ({path!r}) names a file that cannot be "
                f"written: {error.strerror}; correct or unset it"
            ) from error

"""The body of a response: unpacked, whole, and not slower than a line that works."""

import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import httpx

from workflow.lib.data.download.store import SourceError

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib's number for either, by their headers


class TransientError(SourceError):
    """An attempt failed in a way that another attempt may not."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after  # seconds that the server asks to wait


@contextmanager
def cut_off_if_slow(
    response: httpx.Response, least: int, seconds: float, slow: Event
) -> Iterator[None]:
    """Close a connection from which hardly anything comes; httpx's timeouts are for each read.

    Args:
        response: its body is read inside the `with` block.
        least: bytes that should come at a time.
        seconds: how long they may take.
        slow: set before the connection is closed.
    """
    done = Event()
    connection = response.extensions["network_stream"].get_extra_info("socket")

    def watch() -> None:
        before = 0
        while not done.wait(seconds):
            if response.num_bytes_downloaded < before + least:
                slow.set()
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
                return
            before = response.num_bytes_downloaded

    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body, unpacked if it came compressed.

    Raises:
        TransientError: a compressed body ends too early, which httpx does not notice.
        SourceError: it is compressed in another way.
    """
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        yield from response.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise SourceError(f"the server sends it compressed as {encoding}, which was not asked for")
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for chunk in response.iter_raw():
            while chunk:
                if unpacker.eof:  # an archive may consist of several
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                yield unpacker.decompress(chunk)
                chunk = unpacker.unused_data
    except zlib.error as error:
        raise TransientError(f"the compressed body is damaged ({error})") from error
    if not unpacker.eof:
        raise TransientError("the compressed body ends too early")

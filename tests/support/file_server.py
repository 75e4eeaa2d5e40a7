"""A file server on loopback with faults on demand, of the kinds that real servers have.

with FileServer(folder) as server:
    server.faults["data.json"] = Fault(break_after=[1000])
    ...  # fetch f"{server.url}/data.json"
    assert server.requests[1].headers["Range"] == "bytes=1000-"
"""

import base64
import gzip
import hashlib
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Fault:
    """How one path misbehaves; without any of it a file comes with ranges, ETag and date."""

    statuses: list[int] = field(default_factory=list)  # answered in turn, then the file
    headers: dict[str, str] = field(default_factory=dict)  # sent in addition, or instead
    without: set[str] = field(default_factory=set)  # headers left out, such as "ETag"
    break_after: list[int] = field(default_factory=list)  # bytes of the body, an answer each
    hold_after: list[int] = field(default_factory=list)  # the same, then nothing until `released`
    released: threading.Event = field(default_factory=threading.Event)
    ignore_range: bool = False  # 200 with everything
    ignore_if_range: bool = False  # 206 though the file has changed
    longest_range: int | None = None  # bytes of a 206, fewer than asked for
    chunked: bool = False  # Transfer-Encoding instead of Content-Length
    packed: bool = False  # gzip whatever the client accepts
    packed_end: int | None = None  # cut there, with the length header of what is left
    drip: str = ""  # "headers", "body" or "chunk size": bytes one by one, until the client is gone
    html: bool = False  # a page with status 200, as a login portal sends it
    azure_md5: bool = False  # Content-MD5 of what is sent, and the header for the whole file
    redirect: str | None = None  # address to go to
    becomes: bytes | None = None  # content of the file after the first answer


@dataclass(frozen=True)
class Request:
    """One line of the server's log."""

    path: str  # under the folder
    headers: dict[str, str]
    status: int


class FileServer:
    """Serves a folder on a free port of 127.0.0.1 from `with` to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, Fault] = {}  # by path under the folder
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.file_server = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FileServer":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for fault in self.faults.values():
            fault.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server.file_server
        # The path of an absolute address is what a proxy is asked for.
        path = unquote(urlsplit(self.path).path).lstrip("/")
        fault = server.faults.get(path, Fault())
        status, headers, body = self._answer(server.folder / path, fault)
        headers = {k: v for k, v in headers.items() if k not in fault.without} | fault.headers
        server.requests.append(Request(path, dict(self.headers), status))
        self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.drip == "headers":
            self._drip()
            return
        self.end_headers()
        if fault.drip:
            if fault.drip == "chunk size":
                self.wfile.write(b"5;")
            self._drip()
            return
        end = len(body)
        if status in (200, 206):
            end = fault.break_after.pop(0) if fault.break_after else end
            if fault.hold_after:
                held = fault.hold_after.pop(0)
                self._send(body[:held], fault)
                fault.released.wait()
                body, end = body[held:], end - held
            if fault.becomes is not None:
                (server.folder / path).write_bytes(fault.becomes)
                fault.becomes = None
        self._send(body[:end], fault)
        if fault.chunked and end >= len(body):
            self.wfile.write(b"0\r\n\r\n")

    def _answer(self, file: Path, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body before anything is broken on the way."""
        if fault.redirect:
            return 302, {"Location": fault.redirect, "Content-Length": "0"}, b""
        if fault.statuses:
            return fault.statuses.pop(0), {"Content-Length": "0"}, b""
        if fault.html:
            page = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"
            return 200, {"Content-Type": "text/html", "Content-Length": str(len(page))}, page
        if not file.is_file():
            return 404, {"Content-Length": "0"}, b""
        whole = file.read_bytes()
        etag = f'"{hashlib.sha256(whole).hexdigest()[:16]}"'
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": etag,
            "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True),
        }
        status, body = 200, whole
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        same = condition in (None, etag, headers["Last-Modified"]) or fault.ignore_if_range
        if asked and same and not fault.ignore_range:
            start = int(asked[1])
            if start >= len(whole):
                return 416, {"Content-Range": f"bytes */{len(whole)}", "Content-Length": "0"}, b""
            status, body = 206, whole[start:][: fault.longest_range]
            last = start + len(body) - 1
            headers["Content-Range"] = f"bytes {start}-{last}/{len(whole)}"
        if fault.packed:
            body = gzip.compress(body)[: fault.packed_end]
            headers["Content-Encoding"] = "gzip"
        if fault.azure_md5:
            headers["Content-MD5"] = _md5(body)
            if status == 206:
                headers["x-ms-blob-content-md5"] = _md5(whole)
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        return status, headers, body

    def _drip(self) -> None:
        self.flush_headers()
        with suppress(OSError):  # the client is gone
            while True:
                self.wfile.write(b"a")
                time.sleep(0.01)

    def _send(self, data: bytes, fault: Fault) -> None:
        if data and fault.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:  # the client is gone
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet: `requests` is the log."""


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()

"""The server of transformers, which speaks OpenAI's protocol, on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SERVE = "from transformers.cli.transformers import main; main()"


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        url: its address up to /v1.
        log: file of what it prints.
    """

    url: str
    log: Path

    def questions(self) -> int:
        """Return how many questions it answered so far."""
        return self.log.read_text("utf-8").count('"POST /v1/chat/completions HTTP/1.1" 200')


@contextmanager
def serving(model: Path) -> Iterator[Server]:
    """Serve a model's folder until the block ends.

    Args:
        model: as written by `save_pretrained`; the server's files are put beside it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home, log = model.parent / "hub-home", model.parent / "server.log"
    (home / "hub").mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--host", "127.0.0.1", "--device", "cpu"]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", str(model), *options],
            env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, port, log)
        yield Server(f"http://127.0.0.1:{port}/v1", log)
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, f"the server ended at once: {log.read_text('utf-8')[-2000:]}"
        assert time.monotonic() < deadline, log.read_text("utf-8")[-2000:]
        try:
            httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.3)

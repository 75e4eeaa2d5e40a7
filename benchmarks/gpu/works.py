"""Does it work: the tests marked gpu, on this device."""

import subprocess
import sys
import time
from subprocess import STDOUT

from benchmarks.common import ROOT
from benchmarks.gpu.bench import Bench

# Without pytest-xdist, which pyproject.toml asks for.
PYTEST = [sys.executable, "-m", "pytest", "-o", "addopts=--import-mode=importlib -q", "-rfE",
          "--tb=short", "--durations=5", "-p", "no:cacheprovider"]  # fmt: skip


def works(bench: Bench) -> None:
    """Run the tests, file by file."""
    chosen = ["-m", "gpu"] if bench.device.type == "cuda" else ["-k", "cpu"]
    leaving_out = "two or killed or all" if bench.options.tiny or bench.options.quick else ""
    if leaving_out:
        kept = f"cpu and not ({leaving_out})" if "-k" in chosen else f"not ({leaving_out})"
        chosen = [*(chosen if "-m" in chosen else []), "-k", kept]
    for file in ("test_device", "test_batches", "test_generate", "test_finetune"):

        def run(file: str = file) -> dict[str, object]:
            command = [*PYTEST, f"tests/gpu/{file}.py", *chosen]
            path = bench.options.out / f"{file}.txt"
            left = max(20, bench.ends - time.monotonic())
            with path.open("w") as said:
                done = subprocess.run(
                    command, cwd=ROOT, stdout=said, stderr=STDOUT, check=False, timeout=left
                )
            lines = path.read_text().strip().splitlines()
            failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
            return {"code": done.returncode, "said": lines[-1] if lines else "", "failed": failed}

        bench.attempt(file, 20, run)

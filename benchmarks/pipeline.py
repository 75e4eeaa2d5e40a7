"""Wall time of the default run, rule by rule, and of a rerun with nothing to do.

python -m benchmarks.pipeline [--rounds 3]

Runs in a fresh copy of the repository, on all cores as `make scores` does.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks.common import ROOT, arguments, machine

COMMAND = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", "all"]


def main() -> None:
    chosen = arguments(__doc__, rounds=3)
    runs, reruns = [], []
    by_rule: dict[str, list[float]] = defaultdict(list)
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder) / "project"
            shutil.copytree(ROOT, project, ignore=_made_by_runs)
            runs.append(_seconds(project))
            for rule, seconds in _seconds_by_rule(project).items():
                by_rule[rule].append(seconds)
            reruns.append(_seconds(project))
    print(machine())
    print(f"{'whole run':24}{median(runs):8.1f} s")
    for rule, seconds in sorted(by_rule.items(), key=lambda item: -median(item[1])):
        print(f"  {rule:22}{median(seconds):8.1f} s")
    print(f"{'nothing to do':24}{median(reruns):8.1f} s")


def _made_by_runs(folder: str, names: list[str]) -> set[str]:
    """Return the names to leave out of the copy."""
    made = {".git", ".snakemake", ".venv", "resources", "results"}
    return made & set(names) if Path(folder) == ROOT else {"__pycache__"} & set(names)


def _seconds(project: Path) -> float:
    began = time.perf_counter()
    subprocess.run(COMMAND, cwd=project, check=True, capture_output=True)
    return time.perf_counter() - began


def _seconds_by_rule(project: Path) -> dict[str, float]:
    """Sum up Snakemake's records, of which a job has one for each output."""
    jobs: dict[int, tuple[str, float]] = {}
    for path in (project / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text())
            jobs[record["job_hash"]] = record["rule"], record["endtime"] - record["starttime"]
    seconds: dict[str, float] = defaultdict(float)
    for rule, took in jobs.values():
        seconds[rule] += took
    return seconds


if __name__ == "__main__":
    main()

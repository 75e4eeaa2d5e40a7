"""Wall time and CPU time of the default run, rule by rule, and of a rerun with nothing to do.

python -m benchmarks.pipeline [--rounds 3] [--cores all] [--other FOLDER]

Runs in a fresh copy of the repository, on all cores as `make scores` does. With another checkout of
it, the two take turns. CPU time, user and system, hardly depends on what else the machine does.
"""

import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.common import ROOT, Seconds, arguments, machine, run_timed

COMMAND = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores"]


def main() -> None:
    chosen = arguments(__doc__, rounds=3, cores="all", other="")
    roots = [Path(folder).resolve() for folder in (chosen.other, ROOT) if folder]
    runs: dict[Path, list[Seconds]] = defaultdict(list)
    reruns: dict[Path, list[Seconds]] = defaultdict(list)
    by_rule: dict[tuple[Path, str], list[float]] = defaultdict(list)
    for _ in range(chosen.rounds):
        for root in roots:
            with tempfile.TemporaryDirectory() as folder:
                project = Path(folder) / "project"
                shutil.copytree(root, project, ignore=partial(_made_by_runs, root))
                runs[root].append(run_timed([*COMMAND, chosen.cores], project)[0])
                for rule, seconds in _seconds_by_rule(project).items():
                    by_rule[root, rule].append(seconds)
                reruns[root].append(run_timed([*COMMAND, chosen.cores], project)[0])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(machine(), f"load {load}, --cores {chosen.cores}", sep="\n")
    for root in roots:
        print(root, f"{'':26}  wall      CPU", sep="\n")
        _print_medians("whole run", runs[root])
        rules = {rule: median(s) for (place, rule), s in by_rule.items() if place == root}
        for rule, seconds in sorted(rules.items(), key=lambda item: -item[1]):
            print(f"  {rule:22}{seconds:8.1f} s")
        _print_medians("nothing to do", reruns[root])


def _print_medians(label: str, times: list[Seconds]) -> None:
    wall, cpu = (median(values) for values in zip(*times, strict=True))
    print(f"{label:24}{wall:8.1f} s{cpu:7.1f} s")


def _made_by_runs(root: Path, folder: str, names: list[str]) -> set[str]:
    """Return the names to leave out of the copy."""
    made = {".git", ".snakemake", ".venv", "resources", "results"}
    return made & set(names) if Path(folder) == root else {"__pycache__"} & set(names)


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

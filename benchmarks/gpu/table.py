"""The results beside the targets of the project."""

from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import read_results

# Seconds on one H100; and how many times as fast as the faster opponent.
TARGETS = {"train": 8.0, "respond": 2.0}
RATIO = 3.0


def print_table(folder: Path) -> None:
    """Print what the stages found, as far as they have run."""
    works, right, fast, needs = (
        read_results(folder, stage) for stage in ("works", "right", "fast", "needs")
    )
    for found in (works, right, fast, needs):
        if found:
            print(f"{found['device']}, torch {found['torch']}")
            break
    for name, part in works.items():
        if isinstance(part, dict):
            failed = part["failed"] if "said" in part else []
            print(f"{name}: {part.get('said', part)}", *failed, sep="\n  ")
    for name, part in right.items():
        if isinstance(part, dict) and "right" in part:
            apart = (
                f", {part['apart']:.2g} apart, at most {part['most']}" if "apart" in part else ""
            )
            print(f"{name}: {'yes' if part['right'] else 'NO'}{apart}")
    for kind, label in (("train", "two epochs"), ("respond", "110 responses")):
        _print_times(fast, kind, label)
    if any("estimate_gb" in part for part in needs.values() if isinstance(part, dict)):
        print(f"{'GB on the GPU':38}{'tensors':>9}{'reserved':>9}{'CUDA':>7}{'estimate':>9}")
    for name, part in needs.items():
        if isinstance(part, dict) and "estimate_gb" in part:
            columns = [part.get(f"{n}_gb") for n in ("allocated", "reserved", "beside_torch")]
            print(f"{name:38}", *(f"{value or 0:8.2f}" for value in columns), part["estimate_gb"])


def _print_times(fast: dict[str, Any], kind: str, label: str) -> None:
    """Print the seconds of each side, and how much longer it takes than the pipeline."""
    parts = {n: p for n, p in fast.items() if isinstance(p, dict) and n.startswith(kind)}
    if not parts:
        return
    print(f"{label}: target {TARGETS[kind]} s, and {RATIO:g} x as fast as the faster opponent")
    for name, part in parts.items():
        if "seconds" not in part:
            print(f"  {name:36}{part}")
            continue
        length = "" if kind == "train" else ", 256" if name.endswith("256") else ", references"
        own = parts.get(f"{kind}: pipeline{length}", {})
        ratio = f"{part['seconds'] / own['seconds']:8.2f} x" if own.get("seconds") else ""
        print(f"  {name:36}{part['seconds']:9.2f} s{ratio}")

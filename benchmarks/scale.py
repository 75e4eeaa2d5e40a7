"""Time of tokenizing and planning as their input grows.

python -m benchmarks.scale [--data FOLDER] [--rounds 3]

Tokenizes as many entries as Stanford Alpaca has, and a tenth of them; the entries are those of the
data, extended to the mean length of Alpaca's. Plans (`snakemake --dry-run`) 200 variants, and 20.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

import yaml

from benchmarks.common import ROOT, SMALL_WORLD, arguments, load_entries, machine

ALPACA_ENTRIES, ALPACA_CHARACTERS = 52_002, 360  # characters of its three texts, on average
TOKENIZE = """
import resource, sys
from pathlib import Path
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.dataset import tokenize_split
from workflow.lib.tokens.tokenizer import load_tokenizer
entries, tokenizer, output = map(Path, sys.argv[1:])
tokenize_split(entries, load_tokenizer(tokenizer), load_style("alpaca"), output)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # KiB on Linux
"""


def main() -> None:
    chosen = arguments(__doc__, rounds=3)
    entries, _ = load_entries(chosen.data)
    tokenizer = chosen.data / "gpt2-tokenizer" if chosen.data else SMALL_WORLD / "nano-1M"
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (ALPACA_ENTRIES // 10, ALPACA_ENTRIES):
            path = folder / f"{count}.json"
            path.write_text(json.dumps(_alpaca_sized(entries, count)))
            command = [sys.executable, "-c", TOKENIZE, path, tokenizer, folder / "tokens.npz"]
            times, memory = zip(*(_timed(command) for _ in range(chosen.rounds)), strict=True)
            print(
                f"tokenize {count:6} entries: {median(times):6.1f} s, "
                f"{median(map(int, memory)) / 2**20:.2f} GiB at most"
            )
        for count in (20, 200):
            overlay = folder / "overlay.yaml"
            recipes = {
                f"rate-{n}": {"extends": "small-world", "training": {"learning_rate": n * 1e-6}}
                for n in range(1, count + 1)
            }
            compare = {"models": ["nano-1M"], "recipes": list(recipes), "judges": ["overlap"]}
            overlay.write_text(yaml.safe_dump({"compare": compare, "recipes": recipes}))
            command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all",
                       "--configfile", overlay]  # fmt: skip
            print(f"dry run of {count:4} variants: ", end="")
            print(f"{median(_timed(command)[0] for _ in range(chosen.rounds)):6.1f} s")


def _alpaca_sized(entries: list[dict], count: int) -> list[dict]:
    """Return entries of Alpaca's mean length, made by joining outputs."""
    draw = random.Random(123)
    output = mean(len(entry["output"]) for entry in entries)
    others = mean(sum(map(len, entry.values())) for entry in entries) - output
    joined = max(1, round((ALPACA_CHARACTERS - others) / output))
    return [
        {
            **draw.choice(entries),
            "output": " ".join(e["output"] for e in draw.choices(entries, k=joined)),
        }
        for _ in range(count)
    ]


def _timed(command: list) -> tuple[float, str]:
    """Run a command in the repository and return its seconds and the last line of its output."""
    began = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    return time.perf_counter() - began, lines[-1] if lines else ""


if __name__ == "__main__":
    main()

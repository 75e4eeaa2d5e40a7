"""Time of tokenizing and planning as their input grows.

python -m benchmarks.scale [--data FOLDER] [--rounds 3]

Tokenizes as many entries as Stanford Alpaca has, and a tenth of them; the entries are those of the
data, extended to the mean length of Alpaca's. Plans (`snakemake --dry-run`) up to 1,000 runs of one
recipe with a sweep and five seeds, and of as many recipes.
"""

import json
import random
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

import yaml

from benchmarks.common import SMALL_WORLD, arguments, load_entries, machine, run_timed

ALPACA_ENTRIES, ALPACA_CHARACTERS = 52_002, 360  # characters of its three texts, on average
RUNS_PLANNED = (4, 40, 400, 500, 1_000)
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
            times, memory = zip(*(run_timed(command) for _ in range(chosen.rounds)), strict=True)
            print(
                f"tokenize {count:6} entries: {median(took.wall for took in times):6.1f} s, "
                f"{median(map(int, memory)) / 2**20:.2f} GiB at most"
            )
        for count in RUNS_PLANNED:
            for kind, recipes in (("one recipe", swept(count)), ("recipes", _separate(count))):
                overlay = folder / "overlay.yaml"
                compare = {"models": ["nano-1M"], "recipes": list(recipes), "judges": ["overlap"]}
                compare["max_runs"] = count
                overlay.write_text(yaml.safe_dump({"compare": compare, "recipes": recipes}))
                command = [sys.executable, "-m", "snakemake", "--dry-run",
                           "--configfile", overlay, "--", "results/scores.csv"]  # fmt: skip
                walls, cpus = zip(
                    *(run_timed(command)[0] for _ in range(chosen.rounds)), strict=True
                )
                print(
                    f"dry run of {count:5} runs, {kind:10}: {median(walls):6.1f} s, "
                    f"{mean(cpus):6.1f} s of a core"
                )


def swept(count: int) -> dict[str, dict]:
    """Return one recipe that makes as many runs: a sweep of learning rates, up to five seeds."""
    seeds = 5 if count % 5 == 0 else 2
    rates = [n * 1e-6 for n in range(1, count // seeds + 1)]
    sweep = {"training.learning_rate": rates}
    return {"swept": {"extends": "small-world", "seeds": [*range(seeds)], "sweep": sweep}}


def _separate(count: int) -> dict[str, dict]:
    """Return as many recipes, each with a learning rate of its own."""
    return {
        f"rate-{n}": {"extends": "small-world", "training": {"learning_rate": n * 1e-6}}
        for n in range(1, count + 1)
    }


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


if __name__ == "__main__":
    main()

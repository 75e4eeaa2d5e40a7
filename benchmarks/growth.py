"""How time and size grow with entries, with variants and with the length of responses.

python -m benchmarks.growth --threads 1 [--out FOLDER]

Prints four tables, and draws them into FOLDER as entries.svg, variants.svg, responses.svg and
words.svg, where a dashed line grows as its input does. Seconds are those of a core (user and
system), so that other work on the machine lengthens them little; nothing is trained, and no judge
is asked.

The entries have the size of Stanford Alpaca's, and random words of the small world's, so that no
two are alike. The variants are a sweep of learning rates with 30 test entries, as
`tests/support/many_variants.py` writes it. Responses are those of a model of nano-1M's shape with a
context of 1,024 tokens to 32 prompts; judge and report have 10 variants with 30 entries.
"""

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import torch
import yaml
from matplotlib.figure import Figure

from benchmarks.common import NEVER, arguments, load_entries, machine, run_timed, seconds_of
from benchmarks.scale import ALPACA_ENTRIES, swept
from tests.support.many_variants import write_sweep
from workflow.lib.data.quality.measure import SPLITS, measure_quality
from workflow.lib.data.split import split_dataset
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.fast.packing import pack
from workflow.lib.generation.generate import generate
from workflow.lib.judge.backends.overlap import overlap_score
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.report.page import write_report
from workflow.lib.settings.recipe import Training
from workflow.lib.settings.sources import Selection
from workflow.lib.tokens.dataloader import make_dataloader, read_split
from workflow.lib.tokens.dataset import tokenize_split
from workflow.lib.tokens.prompt_style import load_style

ENTRIES = (1_000, 5_200, 17_300, ALPACA_ENTRIES)
VARIANTS = (4, 40, 400)
NEW_TOKENS = (15, 60, 240, 960)
WORDS = (10, 100, 1_000)
PROMPTS = 32
NEAR = 95.0  # percent of similarity from which entries are near duplicates
INSTRUCTION_WORDS, OUTPUT_WORDS = 12, 52  # 360 characters, as Alpaca's on average

Curves = dict[str, list[float]]


def main() -> None:
    chosen = arguments(__doc__, out="")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for subject, axis, sizes, measure in (
            ("entries", "entries", ENTRIES, of_entries),
            ("variants", "variants", VARIANTS, of_variants),
            ("responses", "new tokens", NEW_TOKENS, of_generation),
            ("words", "words of each response", WORDS, of_words),
        ):
            curves: Curves = {}
            for size in sizes:
                for what, value in measure(size, folder).items():
                    curves.setdefault(what, []).append(value)
            print_table(axis, sizes, curves)
            if chosen.out:
                draw_curves(Path(chosen.out) / f"{subject}.svg", axis, sizes, curves)


def of_entries(count: int, folder: Path) -> dict[str, float]:
    """Measure everything that is done to entries before the model sees them."""
    world, tokenizer = load_entries(None)
    draw = random.Random(count)
    words = sorted({word for entry in world for word in entry["output"].split()})

    def text(length: int) -> str:
        return " ".join(draw.choices(words, k=length))

    entries = [
        {"instruction": text(INSTRUCTION_WORDS), "input": "", "output": text(OUTPUT_WORDS)}
        for _ in range(count)
    ]
    source = folder / "entries.json"
    source.write_text(json.dumps(entries), "utf-8")
    files = {part: folder / f"{part}.json" for part in (*SPLITS, "origins")}
    tokens = folder / "train.npz"
    data = {"": source}

    def epoch() -> None:
        split, _ = read_split(tokens, 1024)
        for batch in make_dataloader(split, tokenizer.eot_token, Training(), 1024, shuffle=True):
            pack([batch])

    return {
        "split": seconds_of(lambda: split_dataset(data, Selection(), "datasets.x", **files)).cpu,
        "quality": seconds_of(lambda: measure_quality(files, NEAR, folder / "quality.json")).cpu,
        "tokenize": seconds_of(
            lambda: tokenize_split(files["train"], tokenizer, load_style("alpaca"), tokens)
        ).cpu,
        "batches of an epoch": seconds_of(epoch).cpu,
    }


def of_variants(count: int, folder: Path) -> dict[str, float]:
    """Measure planning as many runs, and their report."""
    overlay = folder / "overlay.yaml"
    recipes = swept(count)
    compare = {"models": ["nano-1M"], "recipes": [*recipes], "judges": ["overlap"]}
    overlay.write_text(
        yaml.safe_dump({"compare": {**compare, "max_runs": count}, "recipes": recipes})
    )
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--configfile", overlay,
               "--", "results/scores.csv"]  # fmt: skip
    planned, _ = run_timed(command)
    case = write_sweep(folder / f"sweep-{count}", count)
    page = folder / "report.html"
    return {
        "dry run": planned.cpu,
        "report": seconds_of(lambda: write_report(**case, output=page)).cpu,
        "report, MB": page.stat().st_size / 1e6,
    }


def of_generation(count: int, folder: Path) -> dict[str, float]:
    """Measure responses of as many tokens."""
    world, tokenizer = load_entries(None)
    style = load_style("alpaca")
    prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in world[:PROMPTS]]
    torch.manual_seed(123)
    shape = {"context_length": 1024, "emb_dim": 128, "n_heads": 4, "n_layers": 4}
    model = GPTModel(GPTConfig(vocab_size=tokenizer.n_vocab, **shape)).eval()
    speed_up(model, torch.device("cpu"))
    spent = seconds_of(lambda: [*generate(model, prompts, count, NEVER)]).cpu
    return {"all": spent, "of 1,000 tokens": 1000 * spent / (PROMPTS * count)}


def of_words(count: int, folder: Path) -> dict[str, float]:
    """Measure judging responses of as many words by overlap, and their report."""
    case = write_sweep(folder / f"words-{count}", 10, words=count)
    answers = [
        entry
        for variant in case["folders"]
        for entry in json.loads((variant / "responses.json").read_text("utf-8"))
    ]
    page = folder / "report.html"
    return {
        "judge": seconds_of(
            lambda: [overlap_score(entry, entry["model_response"]) for entry in answers]
        ).cpu,
        "report": seconds_of(lambda: write_report(**case, output=page)).cpu,
        "report, MB": page.stat().st_size / 1e6,
    }


def print_table(axis: str, sizes: Sequence[int], curves: Curves) -> None:
    """Print a table of Markdown, a row for each size."""
    print(f"\n| {axis} | " + " | ".join(curves) + " |")
    print("|---" * (1 + len(curves)) + "|")
    for row in zip(sizes, *curves.values(), strict=True):
        print(f"| {row[0]:,} | " + " | ".join(f"{value:.3g}" for value in row[1:]) + " |")


def draw_curves(path: Path, axis: str, sizes: Sequence[int], curves: Curves) -> None:
    """Draw the curves on two logarithmic axes, with a line that grows as its input does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth"}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for what, values in curves.items():
            axes.loglog(sizes, values, marker="o", markersize=4, label=what)
        middle = min(max(values) for values in curves.values())
        axes.loglog(
            (sizes[0], sizes[-1]), (middle * sizes[0] / sizes[-1], middle), "--", color="#999999",
            label="as its input", linewidth=1,
        )  # fmt: skip
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.set_xlabel(axis)
        axes.set_ylabel(f"seconds of a core{'; MB' * any('MB' in what for what in curves)}")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()

"""A finished variant made by the pipeline's own functions, the jobs that read it, and damages."""

import json
import random
from pathlib import Path
from typing import Any

from tests.support.training_case import BYTES, CONFIG, CPU, TRAINING, recipe_of, write_weights
from workflow.lib.cluster.workload import workload_of_entries, workload_of_tokens
from workflow.lib.data.quality.measure import measure_quality
from workflow.lib.data.split import split_dataset
from workflow.lib.export.card import model_card
from workflow.lib.export.chapter_file import write_chapter_file
from workflow.lib.generation.responses import write_responses
from workflow.lib.judge.backends.overlap import Overlap
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.model.shape import shape_of_run, shape_of_weights
from workflow.lib.model.weights import load_base_model, load_trained_model
from workflow.lib.report.all_scores import collect_scores
from workflow.lib.report.console import outcome_lines
from workflow.lib.report.plots.losses import plot_losses
from workflow.lib.report.quality import read_quality
from workflow.lib.report.summary import summarize
from workflow.lib.report.variants import read_variants
from workflow.lib.report.win_tables import win_tables
from workflow.lib.runtime.files import read_json, replacing, write_json
from workflow.lib.settings.recipe import Evaluation, Generation
from workflow.lib.settings.sources import Selection
from workflow.lib.tokens.dataset import load_lengths, load_tokens, tokenize_split
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.arguments import Compute, FinetuneFiles, Inputs, Outputs
from workflow.lib.training.data import load_data
from workflow.lib.training.finetune import finetune

STYLE = load_style("phi3")
SPLITS = ("train", "val", "test", "origins")
NAMES = {"model": "tiny", "recipe": "quick", "judge": "overlap"}
RECIPES = {"quick": {"runs": ["quick"], "dataset": "few", "settings": {"training": {"epochs": 1}}}}
RECIPE = recipe_of(TRAINING, Evaluation(every=1, batches=1))


class FinishedRun:
    """The files of a run, each with its digest recorded, and the jobs that read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.variant = folder / "data/few", folder / "tiny/quick"
        self.weights = folder / "resources/tiny/model.safetensors"
        self.judged, self.summary = self.variant / "overlap", folder / "summary.csv"
        self.pairs, self.other = self.variant / "pairs", folder / "other.json"

    def make(self) -> "FinishedRun":
        """Run all jobs."""
        self.data.mkdir(parents=True)
        entries = [
            {"instruction": f"What is {n}?", "input": "", "output": f"It is {n}."}
            for n in range(80)
        ]
        (self.folder / "few.json").write_text(json.dumps(entries))
        self.split()
        for name in ("train", "val"):
            self.tokenize(name)
        with replacing(self.weights, recorded=True) as unfinished:
            write_weights(unfinished, CONFIG)
        self.finetune()
        self.quality()
        self.generate()
        self.judge()
        self.summarize()
        answered = read_json(self.variant / "responses.json")
        others = [{**entry, "model_response": f"Or {n}"} for n, entry in enumerate(answered)]
        write_json(self.other, others, recorded=True)
        self.judge_pairs()
        return self

    def split(self) -> None:
        paths = {name: self.data / f"{name}.json" for name in SPLITS}
        split_dataset({"": self.folder / "few.json"}, Selection(), "datasets.few", **paths)

    def tokenize(self, split: str) -> None:
        tokenize_split(self.data / f"{split}.json", BYTES, STYLE, self.tokens(split))

    def tokens(self, split: str) -> Path:
        return self.folder / f"tokens/bytes/few/phi3/{split}.npz"

    def quality(self) -> None:
        paths = {name: self.data / f"{name}.json" for name in SPLITS}
        measure_quality(paths, 95, self.data / "quality.json")

    @property
    def inputs(self) -> Inputs:
        return Inputs(
            self.weights, self.tokens("train"), self.tokens("val"), self.data / "val.json"
        )

    def finetune(self) -> None:
        names = ("model.pth", "losses.csv", "samples.json", "training.json")
        files = FinetuneFiles(self.inputs, Outputs(*(self.variant / name for name in names)))
        finetune(files, RECIPE, Compute(CPU))

    def load_data(self) -> None:
        load_data(self.inputs, RECIPE, CONFIG)

    def load_model(self) -> Any:
        model = load_trained_model(self.variant / "model.pth", self.variant / "training.json")
        return {name: weight.tolist() for name, weight in model.state_dict().items()}

    def generate(self) -> None:
        model = load_trained_model(self.variant / "model.pth", self.variant / "training.json")
        settings = Generation(max_new_tokens=2)
        output = self.variant / "responses.json"
        write_responses(model, self.data / "test.json", BYTES, STYLE, settings, output)

    def judge(self) -> None:
        judge_responses(
            self.variant / "responses.json",
            Overlap(backend="overlap"),
            NAMES,
            self.judged / "scores.csv",
            self.judged / "answers.jsonl",
            self.judged / "usage.json",
        )

    def judge_pairs(self) -> None:
        judge_pairs(
            self.variant / "responses.json",
            self.other,
            Overlap(backend="overlap", kind="pairwise", baseline="other"),
            {**NAMES, "judge": "pairs"},
            "tiny/other",
            self.pairs / "wins.csv",
            self.pairs / "answers.jsonl",
            self.pairs / "usage.json",
        )

    def summarize_wins(self) -> None:
        summarize(
            [self.judged / "scores.csv"],
            RECIPES,
            {"few": self.data / "quality.json"},
            self.folder / "with-wins.csv",
            [self.pairs / "wins.csv"],
        )

    def report_wins(self) -> None:
        variants = read_variants([self.variant], RECIPES, ["overlap"], self.summary)
        win_tables(variants, {"pairs": ""}, self.folder)

    def summarize(self) -> None:
        summarize(
            [self.judged / "scores.csv"],
            RECIPES,
            {"few": self.data / "quality.json"},
            self.summary,
        )

    def collect(self) -> None:
        collect_scores([self.judged / "scores.csv"], self.folder / "scores.csv")

    def plot(self) -> None:
        record = self.variant / "training.json"
        plot_losses(self.variant / "losses.csv", record, self.variant / "loss.png")

    def report(self) -> None:
        variants = read_variants([self.variant], RECIPES, ["overlap"], self.summary)
        read_quality("few", self.data / "quality.json", variants, [self.tokens("train")])

    def card(self) -> None:
        names = {"model": "tiny", "recipe": "quick", "dataset": "few", "prompt": "phi3"}
        paths = {name: self.variant / file for name, file in
                 (("training", "training.json"), ("losses", "losses.csv"))}  # fmt: skip
        model_card(names, STYLE, **paths, scores=[self.judged / "scores.csv"], wins=[])

    def jobs(self) -> dict[str, list[Any]]:
        """Return the jobs that read each file, by its path in the folder."""
        return {
            "data/few/train.json": [lambda: self.tokenize("train"), self.quality],
            "data/few/val.json": [lambda: self.tokenize("val"), self.load_data],
            "data/few/test.json": [
                self.generate,
                lambda: workload_of_entries(self.data / "test.json"),
            ],
            "data/few/origins.json": [self.quality],
            "data/few/quality.json": [self.report],
            "tokens/bytes/few/phi3/train.npz": [
                lambda: [s.tolist() for s in load_tokens(self.tokens("train")).sequences],
                self.load_data,
            ],
            "resources/tiny/model.safetensors": [lambda: load_base_model(self.weights)],
            "tiny/quick/model.pth": [
                self.load_model,
                lambda: write_chapter_file(self.variant / "model.pth", self.folder / "a-sft.pth"),
            ],
            "tiny/quick/training.json": [
                self.load_model,
                self.summarize,
                self.plot,
                self.report,
                self.card,
                lambda: shape_of_run(self.variant / "training.json"),
            ],
            "tiny/quick/losses.csv": [self.plot, self.report, self.card],
            "tiny/quick/samples.json": [self.report],
            "tiny/quick/responses.json": [self.judge, self.report],
            "tiny/quick/generation.json": [self.summarize, self.report],
            "tiny/quick/overlap/scores.csv": [
                self.summarize,
                self.collect,
                self.report,
                self.card,
            ],
            "tiny/quick/overlap/usage.json": [self.summarize, self.report],
            "other.json": [self.judge_pairs],
            "tiny/quick/pairs/wins.csv": [self.summarize_wins, self.report_wins],
            "tiny/quick/pairs/usage.json": [self.summarize_wins, self.report_wins],
            "summary.csv": [
                self.report,
                lambda: outcome_lines(self.summary, Path("report.html"), {"overlap": ""}),
            ],
        }

    def peeks(self) -> dict[str, Any]:
        """Return what Snakemake reads of a file without its digest, to ask for resources."""
        return {
            "tokens/bytes/few/phi3/train.npz": [
                lambda: workload_of_tokens(self.tokens("train")),
                lambda: load_lengths(self.tokens("train")),
            ],
            "resources/tiny/model.safetensors": [lambda: shape_of_weights(self.weights)],
        }


def flipped(content: bytes, at: float, bit: int = 0) -> bytes:
    """Return the content with a bit changed, at a place from 0, its start, to 1."""
    changed = bytearray(content)
    changed[int(at * (len(content) - 1))] ^= 1 << bit
    return bytes(changed)


def other_digit(content: bytes) -> bytes:
    """Return the content with its last digit changed."""
    place = max(content.rfind(b"%d" % digit) for digit in range(10))
    return content[:place] + b"%d" % ((content[place] - 47) % 10) + content[place + 1 :]


def without_last_row(content: bytes) -> bytes:
    """Return the content cut at the end of the last line but one."""
    return content[: content.rstrip(b"\n").rfind(b"\n") + 1]


# Any of these ends in one line, also without a record of the file.
WHOLESALE = {
    "empty": lambda content: b"",
    "an object": lambda content: b"{}",
    "a list": lambda content: b"[]",
    "null": lambda content: b"null\n",
    "a list of numbers": lambda content: b"[1, 2]",
    "letters": lambda content: b"these are letters\n",
    "random": lambda content: random.Random(3).randbytes(len(content)),
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "NaN": lambda content: b"[NaN]",
    "deep": lambda content: b"[" * 100_000,
}
# These are found by the digest.
SMALL = {
    **{f"bit at {at}": lambda content, at=at: flipped(content, at) for at in (0.2, 0.5, 0.8)},
    "a high bit": lambda content: flipped(content, 0.6, 7),
    "a digit": other_digit,
    "a row less": without_last_row,
}

"""The compared variants, read from the CSV and JSON files of the pipeline, each once."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from workflow.lib.data.entries import read_responses, read_samples
from workflow.lib.generation.record import read_cut_off
from workflow.lib.judge.rows import by_entry, check_entries
from workflow.lib.judge.scores import Verdict, entry_scores, read_scores
from workflow.lib.judge.usage import read_usage
from workflow.lib.model.record import read_training
from workflow.lib.report.format import common_start
from workflow.lib.report.losses import read_losses
from workflow.lib.report.replicates import mean_of_runs
from workflow.lib.report.statistics import Interval
from workflow.lib.report.summary_rows import read_summary
from workflow.lib.runtime.errors import UserError

# Variants on the same test entries; above it, the page has only the pairs that matter most, shows
# equal responses once, and has the best and worst responses of the others as links.
MANY = 24
# Keys of training.json that the page shows.
SHOWN = (
    "parameters", "trainable_parameters", "steps", "tokens_seen", "model.context_length",
    "training.epochs", "training.max_length", "training.too_long", "initial_losses", "seconds",
    "device", "versions", "inputs",
)  # fmt: skip


@dataclass(frozen=True)
class Judging:
    """The verdicts of one judge on one variant.

    Args:
        verdicts: by number of the test entry, one for each repeat.
        summary: the row of summary.csv, as text.
        usage: content of usage.json.
        runs: those of each run, if the variant has several; the rest is of the first of them.
    """

    verdicts: Mapping[int, Sequence[Verdict]]
    summary: Mapping[str, str]
    usage: Mapping[str, Any]
    runs: Sequence["Judging"] = ()

    @cached_property
    def runs_scores(self) -> list[dict[int, float]]:
        """Of each run, the score of every entry that has one, 0 to 100."""
        return [entry_scores(run.verdicts) for run in self.runs or [self]]

    @cached_property
    def scores(self) -> dict[int, float]:
        """Score of every entry that has one, 0 to 100; the mean over runs of those with all."""
        return mean_of_runs(self.runs_scores)

    def number(self, column: str) -> float | None:
        """Return a number of the summary, None where it is blank."""
        return float(self.summary[column]) if self.summary[column] else None

    @property
    def interval(self) -> Interval | None:
        """Interval of the mean score, None where the summary has none."""
        low, high = self.number("low"), self.number("high")
        return Interval(low, high) if low is not None and high is not None else None


@dataclass(frozen=True)
class Variant:
    """One model with one recipe, and everything the page shows of it.

    Args:
        name: its full name.
        dataset: name of its data set in config.yaml.
        entries: the test entries with "model_response", in order.
        losses: rows of losses.csv as numbers.
        samples: the model's responses to one validation entry, before and after each epoch.
        training: content of training.json.
        judged: by name of the judge.
        runs: the same recipe with each of its seeds; none if it has no `seeds`. The scores are
            then means over them, and the other fields those of the first.
        cut_off: numbers of the responses that ended for want of tokens; None if not recorded.
        short: its name on the page, without the parts that all variants begin with.
    """

    name: str
    model: str
    recipe: str
    dataset: str
    entries: Sequence[Mapping[str, str]]
    losses: Sequence[Mapping[str, float]]
    samples: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    judged: Mapping[str, Judging]
    runs: Sequence["Variant"] = ()
    cut_off: AbstractSet[int] | None = None
    short: str = ""

    @property
    def shown(self) -> "Variant":
        """The run whose responses stand for all: the first."""
        return self.runs[0] if self.runs else self

    @property
    def differs_in(self) -> str:
        """The settings of its recipe that are not those of all variants, as text."""
        return next(iter(self.judged.values())).summary["differs_in"]

    @property
    def seed(self) -> int | None:
        """The seed of the training, None in a record that lacks it."""
        return self.training["training"].get("seed")

    @property
    def seconds(self) -> float:
        """How long the training took, of all runs together."""
        return sum(run.training["seconds"] for run in self.runs or [self])

    def mean_loss(self, split: str) -> float | None:
        """Return the last loss on a split, "train" or "val", as the mean over runs."""
        last = [
            run.losses[-1][f"{split}_loss"] if run.losses else run.training["initial_losses"][split]
            for run in self.runs or [self]
        ]
        return fmean(last) if None not in last else None

    @property
    def finetuned(self) -> bool:
        """Whether the recipe trains at all; `epochs: 0` is the model before finetuning."""
        return self.training["training"]["epochs"] > 0

    @cached_property
    def test_set(self) -> tuple[tuple[str, str, str], ...]:
        """Test entries without responses: variants are comparable by entry if these are equal."""
        return tuple((e["instruction"], e["input"], e["output"]) for e in self.entries)

    def exact(self, entry: int) -> bool:
        """Tell whether the response equals the reference up to surrounding white space."""
        return (
            self.entries[entry]["model_response"].strip() == self.entries[entry]["output"].strip()
        )


def read_variants(
    folders: Sequence[Path],
    recipes: Mapping[str, Mapping[str, Any]],
    judges: Sequence[str],
    summary: Path,
) -> list[Variant]:
    """Read the files of the compared variants.

    Args:
        folders: results/{model}/{run} of all runs, in the order to show.
        recipes: for each variant of a recipe `runs`, the names of its runs, and `dataset`, the
            name of its data set.
        judges: names of the judges whose scores to read.
        summary: summary.csv of the same comparison.

    Raises:
        UserError: a file is damaged, or does not belong to the others.
    """
    rows = {(r["model"], r["recipe"], r["judge"]): r for r in read_summary(summary)}
    recipe_of = {run: recipe for recipe, of in recipes.items() for run in of["runs"]}
    grouped: dict[tuple[str, str], list[Variant]] = {}
    for folder in folders:
        model, run = folder.parts[-2:]
        recipe = recipe_of[run]
        entries = read_responses(folder / "responses.json")
        training = read_training(folder / "training.json", *SHOWN)
        judged = {}
        for judge in judges:
            for name in {run, recipe}:
                if (model, name, judge) not in rows:
                    raise UserError(
                        f"{summary}: has no row of {model}, {name}, {judge}; delete it and "
                        "run again"
                    )
            table = folder / judge / "scores.csv"
            check_entries(table, verdicts := read_scores(table), len(entries))
            usage = read_usage(folder / judge / "usage.json")
            judged[judge] = Judging(by_entry(verdicts), rows[model, run, judge], usage)
        grouped.setdefault((model, recipe), []).append(
            Variant(
                name=f"{model} / {run}" if len(recipe_of) > 1 else model,
                model=model,
                recipe=run,
                dataset=recipes[recipe]["dataset"],
                entries=entries,
                losses=read_losses(folder / "losses.csv", training),
                samples=read_samples(folder / "samples.json", training["training"]["epochs"]),
                training=training,
                judged=judged,
                cut_off=read_cut_off(folder / "responses.json", len(entries)),
            )
        )
    variants = [
        runs[0] if recipes[recipe]["runs"] == [recipe] else _joined(runs, model, recipe, rows)
        for (model, recipe), runs in grouped.items()
    ]
    start = len(common_start([variant.name for variant in variants]))
    return [_shortened(variant, start) for variant in variants]


def _shortened(variant: Variant, start: int) -> Variant:
    """Return a variant and its runs with short names, which leave out the start of their names."""
    runs = [_shortened(run, start) for run in variant.runs]
    return replace(variant, short=variant.name[start:], runs=runs)


def _joined(
    runs: Sequence[Variant],
    model: str,
    recipe: str,
    rows: Mapping[tuple[str, str, str], Mapping[str, str]],
) -> Variant:
    """Return the variant that runs with different seeds make up."""
    return replace(
        runs[0],
        name=f"{model} / {recipe}",
        recipe=recipe,
        runs=runs,
        judged={
            judge: replace(
                judging,
                summary=rows[model, recipe, judge],
                runs=[run.judged[judge] for run in runs],
            )
            for judge, judging in runs[0].judged.items()
        },
    )

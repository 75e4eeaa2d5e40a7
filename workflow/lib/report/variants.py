"""The compared variants, read from the CSV and JSON files of the pipeline, each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow.lib.data.entries import read_responses, read_samples
from workflow.lib.judge.scores import Verdict, by_entry, check_entries, entry_scores, read_scores
from workflow.lib.judge.usage import read_usage
from workflow.lib.model.record import read_training
from workflow.lib.report.losses import read_losses
from workflow.lib.report.statistics import Interval
from workflow.lib.report.summary_rows import read_summary
from workflow.lib.runtime.errors import UserError

# Keys of training.json that the page shows.
SHOWN = (
    "parameters", "model", "training", "initial_losses", "seconds", "device", "versions", "inputs",
)  # fmt: skip


@dataclass(frozen=True)
class Judging:
    """The verdicts of one judge on one variant.

    Args:
        verdicts: by number of the test entry, one for each repeat.
        summary: the row of summary.csv, as text.
        usage: content of usage.json.
    """

    verdicts: Mapping[int, Sequence[Verdict]]
    summary: Mapping[str, str]
    usage: Mapping[str, Any]

    @cached_property
    def scores(self) -> dict[int, float]:
        """Score of every entry that has one, 0 to 100."""
        return entry_scores(self.verdicts)

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
        name: its name on the page.
        dataset: name of its data set in config.yaml.
        entries: the test entries with "model_response", in order.
        losses: rows of losses.csv as numbers.
        samples: the model's responses to one validation entry, before and after each epoch.
        training: content of training.json.
        judged: by name of the judge.
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
    folders: Sequence[Path], judges: Sequence[str], datasets: Mapping[str, str], summary: Path
) -> list[Variant]:
    """Read the files of the compared variants.

    Args:
        folders: results/{model}/{recipe}, in the order to show.
        judges: names of the judges whose scores to read.
        datasets: name of the data set, by recipe.
        summary: summary.csv of the same comparison.

    Raises:
        UserError: a file is damaged, or does not belong to the others.
    """
    rows = {(r["model"], r["recipe"], r["judge"]): r for r in read_summary(summary)}
    several_recipes = len({folder.name for folder in folders}) > 1
    variants = []
    for folder in folders:
        model, recipe = folder.parts[-2:]
        entries = read_responses(folder / "responses.json")
        training = read_training(folder / "training.json", *SHOWN)
        judged = {}
        for judge in judges:
            if (model, recipe, judge) not in rows:
                raise UserError(
                    f"{summary}: has no row of {model}, {recipe}, {judge}; delete it and run again"
                )
            table = folder / judge / "scores.csv"
            check_entries(table, verdicts := read_scores(table), len(entries))
            usage = read_usage(folder / judge / "usage.json")
            judged[judge] = Judging(by_entry(verdicts), rows[model, recipe, judge], usage)
        variants.append(
            Variant(
                name=f"{model} / {recipe}" if several_recipes else model,
                model=model,
                recipe=recipe,
                dataset=datasets[recipe],
                entries=entries,
                losses=read_losses(folder / "losses.csv", training),
                samples=read_samples(folder / "samples.json", training["training"]["epochs"]),
                training=training,
                judged=judged,
            )
        )
    return variants

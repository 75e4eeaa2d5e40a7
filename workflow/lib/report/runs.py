"""What a run left behind for the report: CSV and JSON files only, read once."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow.lib.judge.scores import Verdict, by_entry, entry_scores, read_scores
from workflow.lib.runtime.files import read_json


@dataclass(frozen=True)
class Variant:
    """One model with one recipe.

    Args:
        model, recipe: names in config.yaml.
        folder: results/{model}/{recipe}.
    """

    model: str
    recipe: str
    folder: Path


@dataclass(frozen=True)
class Scored:
    """What one judge said about one variant.

    Args:
        verdicts: of every entry, by number, one for each repeat.
        summary: its row of summary.csv, as text.
        usage: what the judging took, from usage.json.
    """

    verdicts: Mapping[int, Sequence[Verdict]]
    summary: Mapping[str, str]
    usage: Mapping[str, Any]

    @cached_property
    def scores(self) -> dict[int, float]:
        """Score of every entry that has one."""
        return entry_scores(self.verdicts)

    def number(self, column: str) -> float | None:
        """A number of the summary, None where it is blank."""
        return float(self.summary[column]) if self.summary[column] else None


@dataclass(frozen=True)
class Run:
    """One variant with everything that is known about it.

    Args:
        name: how the page calls it.
        dataset: its name in config.yaml.
        entries: the test entries with "model_response", in order.
        losses: rows of losses.csv as numbers.
        samples: the model's answers to one validation entry, before and after each epoch.
        training: training.json.
        judged: by judge.
    """

    name: str
    model: str
    recipe: str
    dataset: str
    entries: Sequence[Mapping[str, str]]
    losses: Sequence[Mapping[str, float]]
    samples: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    judged: Mapping[str, Scored]

    @property
    def tuned(self) -> bool:
        """Whether the model was finetuned at all."""
        return self.training["training"]["epochs"] > 0

    @cached_property
    def test(self) -> tuple[tuple[str, str, str], ...]:
        """What was asked: only variants that were asked the same can be compared by entry."""
        return tuple((e["instruction"], e["input"], e["output"]) for e in self.entries)

    def exact(self, entry: int) -> bool:
        """Whether the response is the reference, whatever a judge says."""
        return (
            self.entries[entry]["model_response"].strip() == self.entries[entry]["output"].strip()
        )


def read_runs(
    variants: Sequence[Variant], judges: Sequence[str], datasets: Mapping[str, str], summary: Path
) -> list[Run]:
    """Read the files of all variants.

    Args:
        variants: in the order to show.
        judges: whose scores to read.
        datasets: the data set of each recipe.
        summary: summary.csv of the run.
    """
    rows = {(r["model"], r["recipe"], r["judge"]): r for r in _read_csv(summary)}
    several_recipes = len({variant.recipe for variant in variants}) > 1
    runs = []
    for variant in variants:
        folder = variant.folder
        runs.append(
            Run(
                name=f"{variant.model} / {variant.recipe}" if several_recipes else variant.model,
                model=variant.model,
                recipe=variant.recipe,
                dataset=datasets[variant.recipe],
                entries=read_json(folder / "responses.json"),
                losses=[
                    {column: float(value) for column, value in row.items()}
                    for row in _read_csv(folder / "losses.csv")
                ],
                samples=read_json(folder / "samples.json"),
                training=read_json(folder / "training.json"),
                judged={
                    judge: Scored(
                        verdicts=by_entry(read_scores(folder / judge / "scores.csv")),
                        summary=rows[variant.model, variant.recipe, judge],
                        usage=read_json(folder / judge / "usage.json"),
                    )
                    for judge in judges
                },
            )
        )
    return runs


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

"""All of config.yaml."""

from pydantic import model_validator

from workflow.lib.settings.base import Name, Names, Section
from workflow.lib.settings.cluster import Limits
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.judges import Judge
from workflow.lib.settings.recipe import Recipe
from workflow.lib.settings.sources import Dataset, Model, Tokenizer

# Folders of results/ that belong to no model.
RESERVED_NAMES = {"data", "tokens", "logs", "small-world"}


class Compare(Section):
    """What `snakemake results/scores.csv` runs: every model with every recipe and judge."""

    models: Names
    recipes: Names
    judges: Names


class Settings(Computing):
    """All of config.yaml."""

    compare: Compare
    limits: Limits = Limits()
    datasets: dict[Name, Dataset]
    tokenizers: dict[Name, Tokenizer]
    models: dict[Name, Model]
    recipes: dict[Name, Recipe]
    judges: dict[Name, Judge]

    @model_validator(mode="after")
    def names_make_separate_folders(self) -> "Settings":
        if taken := RESERVED_NAMES & set(self.models):
            raise ValueError(f"results/ keeps these names for itself: {', '.join(sorted(taken))}")
        return self

"""The whole of config.yaml."""

from typing import Any

from pydantic import Field, field_validator

from workflow.lib.settings.base import Name, NameList, Section
from workflow.lib.settings.cluster import Limits
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.judges import Judge
from workflow.lib.settings.recipe import EXECUTION_KEYS, Recipe
from workflow.lib.settings.sources import Dataset, Model, Tokenizer

# Folders of results/ that belong to no model.
RESERVED_NAMES = {"data", "tokens", "logs", "small-world"}


class Compare(Section):
    """What `snakemake results/scores.csv` runs: every model and recipe, scored by every judge."""

    models: NameList = Field(description="names of models to finetune")
    recipes: NameList = Field(description="names of recipes to finetune each of them with")
    judges: NameList = Field(description="names of judges to score the responses")


class Settings(Computing):
    """All settings. A file laid over config.yaml holds those it changes."""

    compare: Compare
    limits: Limits = Limits()
    datasets: dict[Name, Dataset] = Field(description="data sets by name")
    tokenizers: dict[Name, Tokenizer] = Field(description="tokenizers by name")
    models: dict[Name, Model] = Field(description="pretrained models by name")
    recipes: dict[Name, Recipe] = Field(description="ways to finetune, by name")
    judges: dict[Name, Judge] = Field(description="judges of the responses, by name")

    @field_validator("models")
    @classmethod
    def names_make_separate_folders(cls, models: dict[str, Model]) -> dict[str, Model]:
        if taken := RESERVED_NAMES & models.keys():
            names = ", ".join(sorted(taken))
            raise ValueError(
                f"these names are reserved for folders of results/: {names}; rename the model"
            )
        return models


def compared(settings: Settings) -> dict[str, Any]:
    """Return the part of the settings that `compare` uses, as a config file that repeats the run.

    It leaves out what changes no result: device, processes, threads, checkpoints, and how judges
    are reached.
    """
    names = settings.compare
    used = {
        "models": names.models,
        "recipes": names.recipes,
        "judges": names.judges,
        "datasets": [settings.recipes[name].dataset for name in names.recipes],
        "tokenizers": [settings.models[name].tokenizer for name in names.models],
    }
    everything = settings.model_dump(
        mode="json",
        exclude={"recipes": {"__all__": EXECUTION_KEYS}, "judges": {"__all__": {"transport"}}},
    )
    return {
        "compare": everything["compare"],
        "precision": everything["precision"],
        **{
            section: {name: everything[section][name] for name in dict.fromkeys(wanted)}
            for section, wanted in used.items()
        },
    }

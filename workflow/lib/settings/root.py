"""The whole of config.yaml."""

from typing import Any

from pydantic import Field, field_validator, model_validator

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

    @model_validator(mode="after")
    def models_come_from_somewhere(self) -> "Settings":
        for name in self.models:
            chain = [name]
            while earlier := self.trained_first(chain[-1]):
                if earlier[0] in chain:
                    circle = " from ".join([*chain, earlier[0]])
                    raise ValueError(f"models.{name}.url: goes round in a circle: {circle}")
                chain.append(earlier[0])
        return self

    def trained_first(self, model: str) -> tuple[str, str] | None:
        """Return model and recipe of the variant that a model starts from, None for other models.

        A variant that these settings do not define is files like any others.
        """
        variant = self.models[model].variant
        if variant and variant[0] in self.models and variant[1] in self.recipes:
            return variant
        return None


def compared(settings: Settings) -> dict[str, Any]:
    """Return the part of the settings that `compare` uses, as a config file that repeats the run.

    It leaves out what changes no result: device, processes, threads, checkpoints, and how judges
    are reached.
    """
    names = settings.compare
    models, recipes = list(names.models), list(names.recipes)
    for name in models:  # grows: a model may start from another's variant
        if earlier := settings.trained_first(name):
            models.append(earlier[0])
            recipes.append(earlier[1])
    used = {
        "models": models,
        "recipes": recipes,
        "judges": names.judges,
        "datasets": [settings.recipes[name].dataset for name in recipes],
        "tokenizers": [settings.models[name].tokenizer for name in models],
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

"""The whole of config.yaml."""

import re
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from workflow.lib.settings.base import Name, NameList, Section
from workflow.lib.settings.cluster import Limits
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.judges import Judge
from workflow.lib.settings.recipe import EXECUTION_KEYS, Recipe
from workflow.lib.settings.sources import Dataset, Model, Tokenizer

# What results/ and results/{model}/{recipe}/ hold beside the folders of models, recipes and judges:
# folders of these names, and files that end so. One list for all three kinds of names.
FOLDERS = {"data", "tokens", "logs", "comparisons", "hf"}
ENDINGS = (
    ".csv",
    ".json",
    ".jsonl",
    ".html",
    ".png",
    ".pt",
    ".pth",
    ".safetensors",
    ".npz",
    ".log",
    ".txt",
    ".md",
    ".parquet",
)


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

    @field_validator("datasets", "tokenizers", "models", "recipes", "judges")
    @classmethod
    def names_are_no_patterns(cls, defined: dict[str, Section]) -> dict[str, Section]:
        """Refuse names in which Snakemake sees the sign of a rule that feeds itself without end."""
        for name in defined:
            if part := re.search(r"(.+?)\1{19,}$", name):
                raise ValueError(f"{name} repeats {part[1]!r} too often; choose another name")
        return defined

    @field_validator("models", "recipes", "judges")
    @classmethod
    def names_make_separate_folders(
        cls, defined: dict[str, Section], info: ValidationInfo
    ) -> dict[str, Section]:
        kind = str(info.field_name).removesuffix("s")
        taken = FOLDERS | ({"small-world"} if kind == "model" else set())
        if names := ", ".join(sorted(taken & defined.keys())):
            raise ValueError(
                f"these names are reserved for folders of results/: {names}; rename the {kind}"
            )
        if names := ", ".join(name for name in defined if name.lower().endswith(ENDINGS)):
            raise ValueError(f"these names end like files of results/: {names}; rename the {kind}")
        return defined


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

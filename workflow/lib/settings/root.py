"""The whole of config.yaml."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from workflow.lib.settings.base import Count, Name, NameList, Section, folder_of
from workflow.lib.settings.cluster import Limits
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.judges import REFERENCE, Judge
from workflow.lib.settings.places import Mistake
from workflow.lib.settings.recipe import EXECUTION_KEYS, Recipe
from workflow.lib.settings.replicates import Variants, count_runs, expand
from workflow.lib.settings.sources import Dataset, Model, Tokenizer

# What results/ and results/{model}/{recipe}/ hold beside the folders of models, recipes and judges:
# folders of these names, and files that end so. One list for all three kinds of names.
FOLDERS = {"data", "tokens", "logs", "comparisons", "hf", "tensorboard"}
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
    ".yaml",
    ".parquet",
)


class Compare(Section):
    """What a plain `snakemake` runs: every model and recipe, scored by every judge."""

    models: NameList = Field(description="names of models to finetune")
    recipes: NameList = Field(description="names of recipes to finetune each of them with")
    judges: NameList = Field(description="names of judges to score the responses")
    max_runs: Count = Field(
        200, description="most runs that sweeps and seeds may make; more are refused"
    )


class Settings(Computing):
    """All settings. A file laid over config.yaml holds those it changes.

    `recipes` also holds the runs of recipes with a sweep or several seeds, once it is loaded.
    """

    name: Name | None = Field(
        None, description="of the comparison: its files go to results/comparisons/NAME"
    )
    compare: Compare
    limits: Limits = Limits()
    datasets: dict[Name, Dataset] = Field(description="data sets by name")
    tokenizers: dict[Name, Tokenizer] = Field(description="tokenizers by name")
    models: dict[Name, Model] = Field(description="pretrained models by name")
    recipes: dict[Name, Recipe] = Field(description="ways to finetune, by name")
    judges: dict[Name, Judge] = Field(description="judges of the responses, by name")

    # The names of each variant's runs, by the variant's name: of the compared recipes, and of all.
    _variants: dict[str, list[str]] = PrivateAttr(default_factory=dict)
    _all_variants: dict[str, list[str]] = PrivateAttr(default_factory=dict)
    # By the same name, the recipe that a compared variant is of, and those that this one extends.
    _origins: dict[str, list[str]] = PrivateAttr(default_factory=dict)

    @property
    def variants(self) -> Mapping[str, Sequence[str]]:
        """The names of the runs of each compared variant, by the variant's name.

        A recipe without a sweep is one variant, and without seeds its own only run.
        """
        return self._variants

    @property
    def all_variants(self) -> Mapping[str, Sequence[str]]:
        """The same of every recipe, compared or not."""
        return self._all_variants

    def recipes_compared(self) -> dict[str, dict[str, Any]]:
        """Return what the report says of each variant of a recipe, as plain values.

        Returns:
            By name of the variant: `runs`, the names of its runs, `dataset`, `published`, and
            `settings`, what can change its result; without seeds that differ or have no effect.
            `published` is that of the recipe, or else of the nearest one that it extends and that
            says with which settings; its `recipe` is then that one's name, not None.
        """
        found = {}
        for variant, runs in self.variants.items():
            values = self.recipes[runs[0]].model_dump(
                mode="json", exclude={"seeds", "sweep", *EXECUTION_KEYS}
            )
            own = values.pop("published")
            published = {"recipe": None, **own} if own else self._published_before(variant)
            if len(runs) > 1 or not values["training"]["epochs"]:
                del values["training"]["seed"]
            if len(runs) > 1 or not values["generation"]["temperature"]:
                del values["generation"]["seed"]
            found[variant] = {
                "runs": [*runs],
                "dataset": values["dataset"],
                "published": published,
                "settings": values,
            }
        return found

    def _published_before(self, variant: str) -> dict[str, Any] | None:
        """Return the published results of the nearest recipe that a variant is a change of."""
        for name in self._origins.get(variant, ()):
            if (found := self.recipes[name].published) and found.settings is not None:
                return {"recipe": name, **found.model_dump(mode="json")}
        return None

    def inherited_published(self) -> dict[str, dict[str, Any]]:
        """Return the published results of another recipe that a compared one shows, by its name."""
        found = {}
        for variant, of in self.recipes_compared().items():
            name, published = self._origins[variant][0], of["published"]
            if published and published["recipe"] not in (None, name):
                found[name] = published
        return found

    def expanded(self, extended: Mapping[str, list[str]]) -> tuple["Settings", list[Mistake]]:
        """Return settings whose `recipes` also hold the runs of sweeps and seeds, and mistakes.

        Args:
            extended: the recipes that each recipe extends, the nearest first.
        """
        counts = {name: count_runs(recipe) for name, recipe in self.recipes.items()}
        most = self.compare.max_runs
        mistakes = [
            Mistake(
                ("recipes", name),
                f"sweep and seeds make {count} runs; compare.max_runs allows {most}",
            )
            for name, count in counts.items()
            if count > most
        ]
        several = {name: counts[name] for name in self.compare.recipes if counts[name] > 1}
        total = sum(several.values()) * len(self.compare.models)
        if total > most and not mistakes:
            mistakes = [
                Mistake(
                    ("compare",),
                    f"sweeps and seeds of {', '.join(several)} make {total} runs with these "
                    f"models; compare.max_runs allows {most}",
                )
            ]
        if mistakes:
            return self, mistakes
        variants: dict[str, Variants] = {}
        for name, recipe in self.recipes.items():
            variants[name], found = expand(name, recipe, self.datasets)
            mistakes += found
        runs = {n: r for of in variants.values() for own in of.values() for n, r in own.items()}
        complete = self.model_copy(update={"recipes": self.recipes | runs})
        complete._all_variants = {
            variant: [*own] for of in variants.values() for variant, own in of.items()
        }
        complete._variants = {
            variant: [*variants[name][variant]]
            for name in self.compare.recipes
            for variant in variants[name]
        }
        complete._origins = {
            variant: [name, *extended[name]]
            for name in self.compare.recipes
            for variant in variants[name]
        }
        return complete, mistakes

    @field_validator("datasets", "tokenizers", "models", "recipes", "judges")
    @classmethod
    def names_differ_by_more_than_case(cls, defined: dict[str, Section]) -> dict[str, Section]:
        """Refuse two names that are one folder where file systems ignore case."""
        found: dict[str, str] = {}
        for name in defined:
            if (other := found.setdefault(folder_of(name), name)) != name:
                raise ValueError(
                    f"{other} and {name} differ by case alone and would share one folder on macOS "
                    "and Windows; rename one"
                )
        return defined

    @field_validator("datasets", "tokenizers", "models", "recipes", "judges")
    @classmethod
    def names_are_no_patterns(cls, defined: dict[str, Section]) -> dict[str, Section]:
        """Refuse names in which Snakemake sees the sign of a rule that feeds itself without end."""
        for name in defined:
            if part := re.search(r"(.+?)\1{19,}$", name):
                raise ValueError(f"{name} repeats {part[1]!r} too often; choose another name")
        return defined

    @field_validator("name")
    @classmethod
    def name_is_that_of_a_folder(cls, name: str | None) -> str | None:
        """Refuse a name that reads as a file, or as another folder of results/."""
        if name is not None and (name.lower() in FOLDERS or name.lower().endswith((*ENDINGS, "."))):
            raise ValueError(
                f"{name!r} reads like a file or a folder of results/; choose another name"
            )
        return name

    @field_validator("models", "recipes", "judges")
    @classmethod
    def names_make_separate_folders(
        cls, defined: dict[str, Section], info: ValidationInfo
    ) -> dict[str, Section]:
        kind = str(info.field_name).removesuffix("s")
        taken = FOLDERS | ({"small-world"} if kind == "model" else set())
        if names := ", ".join(sorted(name for name in defined if name.lower() in taken)):
            raise ValueError(
                f"these names are reserved for folders of results/: {names}; rename the {kind}"
            )
        if names := ", ".join(name for name in defined if name.lower().endswith(ENDINGS)):
            raise ValueError(f"these names end like files of results/: {names}; rename the {kind}")
        return defined

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
        variant = self.models[model].variant if model in self.models else None
        if variant and variant[0] in self.models and variant[1] in self.recipes:
            return variant
        return None

    def started_from(self, model: str) -> Iterator[tuple[str, str]]:
        """Yield model and recipe of the variants that a model starts from, the nearest first."""
        while earlier := self.trained_first(model):
            yield earlier
            model = earlier[0]


def compared(settings: Settings) -> dict[str, Any]:
    """Return the part of the settings that `compare` uses, as a config file that repeats the run.

    It leaves out what changes no result: device, processes, threads, checkpoints, and how judges
    are reached.
    """
    names = settings.compare
    models, recipes = list(names.models), list(names.recipes)
    for judge in names.judges:
        model, _, variant = (settings.judges[judge].baseline or REFERENCE).rpartition("/")
        recipe = variant.partition(",")[0]
        models += [model] if model else []
        recipes += [recipe] if variant != REFERENCE else []
    for model, recipe in [of for name in models for of in settings.started_from(name)]:
        models.append(model)
        recipes.append(recipe)
    runs = [run for runs in settings.variants.values() for run in runs]
    used = {
        "models": models,
        "recipes": recipes,
        "judges": names.judges,
        "datasets": [settings.recipes[run].dataset for run in (*runs, *recipes)],
        "tokenizers": [settings.models[name].tokenizer for name in models],
    }
    everything = settings.model_dump(
        mode="json",
        exclude={"recipes": {"__all__": EXECUTION_KEYS}, "judges": {"__all__": {"transport"}}},
    )
    for name, published in settings.inherited_published().items():
        everything["recipes"][name]["published"] = published
    return {
        **({"name": settings.name} if settings.name else {}),
        "compare": everything["compare"],
        "precision": everything["precision"],
        **{
            section: {name: everything[section][name] for name in dict.fromkeys(wanted)}
            for section, wanted in used.items()
        },
    }

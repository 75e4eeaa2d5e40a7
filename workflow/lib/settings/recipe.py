"""A recipe: one way to finetune a model.

The defaults are the chapter's values. Their descriptions appear in the JSON schema and, as a
comment, in config.yaml.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from workflow.lib.runtime.names import cut
from workflow.lib.settings.base import Count, Number, Section, Seed, WholeNumber, one_of, unique
from workflow.lib.settings.cluster import RecipeResources


class Lora(Section):
    """Low-rank adapters on every linear layer, trained instead of the weights (exercise 7.4)."""

    rank: Count = Field(16, description="rows of A, columns of B")
    alpha: Number = Field(16.0, gt=0, description="B A is multiplied by alpha / rank")
    fan: Literal["inputs", "rank"] = Field(
        "inputs",
        description="A is drawn within 1 / sqrt(inputs) or, as in the exercise, 1 / sqrt(rank)",
    )


class Training(Section):
    """How the weights are trained (listings 7.6 and 7.8)."""

    epochs: WholeNumber = Field(
        2, description="passes over the training set; 0: the model before finetuning"
    )
    batch_size: Count = Field(8, description="entries per step")
    learning_rate: Number = Field(5e-5, gt=0, description="of AdamW")
    weight_decay: Number = Field(0.1, ge=0, description="of AdamW")
    max_length: Count = Field(
        1024, description="tokens of an entry that are kept, at most the model's context length"
    )
    mask_prompt: bool = Field(
        False, description="true: compute the loss on the response only (exercise 7.2)"
    )
    drop_rate: Number = Field(
        0.0, ge=0, lt=1, description="dropout; above 0 batches are padded, not packed: slower"
    )
    seed: Seed = Field(123, description="of shuffling, dropout and LoRA's first weights")
    gradient_accumulation: Count = Field(
        1, description="micro-batches per step: same gradient, less memory"
    )
    clip_norm: Number | None = Field(
        None, gt=0, description="maximum gradient norm; null: no clipping"
    )
    warmup_steps: WholeNumber = Field(
        0, description="steps in which the learning rate rises linearly to its value"
    )
    decay: Literal["none", "linear", "cosine"] = Field(
        "none", description="how the learning rate then falls to 0: none, linear or cosine"
    )
    lora: Lora | None = Field(
        None, description="adapters to train instead of the weights (exercise 7.4); null: none"
    )
    keep: Literal["last", "best"] = Field(
        "last", description="weights to save: last, or best: of the lowest validation loss"
    )
    too_long: Literal["truncate", "drop", "raise"] = Field(
        "truncate",
        description="entries over max_length: truncate, drop or raise; training.json lists them",
    )


class Evaluation(Section):
    """When and how the losses are measured during training."""

    every: Count = Field(5, description="steps between evaluations")
    batches: Count = Field(5, description="batches of each split per evaluation")


class Generation(Section):
    """How responses are generated (listing 7.9)."""

    max_new_tokens: Count = Field(256, description="maximum tokens of a response")
    temperature: Number = Field(
        0.0, ge=0, description="0: greedy, as in the chapter; above 0: sampled"
    )
    top_k: Count | None = Field(
        None, description="sample from the k most likely tokens; null: from all"
    )
    seed: Seed = Field(123, description="of sampling; each entry derives its own from it")


Scalar = Annotated[bool | int | float | str | None, one_of("a number, text, true, false or null")]
# Keys of `published.settings` that no recipe has, besides those of the judge.
_BESIDE_RECIPE = ("precision", "entries.train", "entries.val", "entries.test")


class Published(Section):
    """Published results of a recipe, shown in the report beside the run's own."""

    model: str = Field(description="model that was finetuned")
    judge: str = Field(description="judge that scored the responses")
    source: str = Field(description="where the results were published")
    initial_losses: tuple[Number, Number] | None = Field(
        None, description="training and validation loss before finetuning"
    )
    losses: dict[int, tuple[Number, Number]] = Field(
        {}, description="training and validation loss after a step, by the step's number"
    )
    score: Number | None = Field(None, description="mean score, 0 to 100")
    score_range: tuple[Number, Number] | None = Field(
        None, description="lowest and highest mean score of repeated runs"
    )
    settings: dict[str, Scalar] | None = Field(
        None,
        description="what they were measured with where it is no default of a recipe, such as "
        "{prompt: phi3, judge.ask_again: 0}; the report says what differs. null: not known",
    )
    recipe: str | None = Field(
        None,
        exclude_if=lambda recipe: recipe is None,
        description="recipe that they belong to if it is not this one but one that this one "
        "changes; written where a comparison is saved with its settings",
    )

    model_config = ConfigDict(strict=False)  # YAML has lists where Python has tuples

    @field_validator("settings")
    @classmethod
    def settings_are_known(cls, settings: dict[str, Scalar] | None) -> dict[str, Scalar] | None:
        """Refuse keys that no run has, which would never be found to differ."""
        for key in settings or ():
            if not (key.startswith("judge.") or key in _BESIDE_RECIPE or _is_setting(key)):
                raise ValueError(
                    f"unknown key {cut(key)}; should be one of a recipe, such as "
                    "training.epochs, or of the judge, such as judge.model, or precision, "
                    "entries.train, entries.val or entries.test"
                )
        return settings


def _is_setting(key: str) -> bool:
    """Return whether a dotted key names a single setting of a recipe."""
    sections: dict[str, type[Section]] = {"training": Training, "training.lora": Lora}
    sections |= {"evaluation": Evaluation, "generation": Generation}
    section, _, last = key.rpartition(".")
    known = sections[section].model_fields if section in sections else ()
    return last in known or key in ("dataset", "prompt")


def _of_recipes(sweep: dict[str, list[Scalar]]) -> dict[str, list[Scalar]]:
    """Refuse keys that cannot be swept; unknown ones are found when the recipe is expanded."""
    for key in sweep:
        if key.partition(".")[0] in {"published", "seeds", "sweep", *EXECUTION_KEYS}:
            raise ValueError(f"{cut(key)} cannot be swept")
        if key == "training.seed":
            raise ValueError("training.seed cannot be swept; list the seeds in `seeds`")
    return sweep


# Keys of a recipe that say how it is computed. They change no result and rerun nothing.
EXECUTION_KEYS = {"gpus", "nodes", "sharding", "resources"}


class Recipe(Section):
    """One way to finetune: data set, prompt style and the settings of each stage."""

    dataset: str = Field(description="name of a data set in datasets")
    prompt: str = Field(
        "alpaca",
        min_length=1,
        description="alpaca, alpaca-ko or phi3 of workflow/prompts, or the path of your own file",
    )
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    generation: Generation = Generation()
    seeds: Annotated[list[Seed], AfterValidator(unique), Field(min_length=1)] | None = Field(
        None,
        description="seeds to run it with, such as [1, 2, 3], in place of the two above",
    )
    sweep: Annotated[
        dict[str, Annotated[list[Scalar], AfterValidator(unique), Field(min_length=1)]],
        AfterValidator(_of_recipes),
    ] = Field(
        {},
        description="values by key, such as {training.learning_rate: [1e-5, 5e-5]}; "
        "all combinations",
    )
    published: Published | None = Field(
        None,
        description="published results to show in the report; recipes that extend this one show "
        "them with what differs",
    )
    gpus: Count = Field(1, description="processes per node, each on its own GPU if there are GPUs")
    nodes: Count = Field(1, description="machines per Slurm job")
    sharding: Literal["auto", "none", "full"] = Field(
        "auto",
        description="full: split weights and optimizer state over the GPUs; none; auto: if needed",
    )
    resources: RecipeResources = RecipeResources()

    @property
    def processes(self) -> int:
        """The number of processes on all nodes, the world size."""
        return self.gpus * self.nodes

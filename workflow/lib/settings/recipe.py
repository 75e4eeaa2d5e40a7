"""Recipes: one way each to finetune, and what was published about it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from workflow.lib.settings.base import Count, Number, Section, Seed
from workflow.lib.settings.cluster import RecipeResources


class Lora(Section):
    """Low-rank adapters on every linear layer, trained instead of the weights (exercise 7.4)."""

    rank: Count = Field(16, description="rows of A and columns of B")
    alpha: Number = Field(16.0, gt=0, description="the addition B A is multiplied by alpha / rank")
    fan: Literal["inputs", "rank"] = Field(
        "inputs",
        description="A starts within 1 / sqrt of its inputs, or of the rank as in the exercise",
    )


class Training(Section):
    """How the weights change (listings 7.6 and 7.8)."""

    epochs: Annotated[int, Field(ge=0)] = Field(2, description="0: the model before finetuning")
    batch_size: Count = Field(8, description="sequences a step")
    learning_rate: Number = Field(5e-5, gt=0, description="of AdamW")
    weight_decay: Number = Field(0.1, ge=0, description="of AdamW")
    max_length: Count = Field(1024, description="tokens of an entry that are kept")
    mask_prompt: bool = Field(False, description="learn from the response alone (exercise 7.2)")
    drop_rate: Number = Field(0.0, ge=0, lt=1, description="dropout")
    seed: Seed = Field(123, description="of weights, shuffling and dropout")
    gradient_accumulation: Count = Field(
        1, description="parts that a batch is computed in, to save memory; the gradient stays its"
    )
    clip_norm: Number | None = Field(
        None, gt=0, description="longest gradient of a step, all weights together; null: any"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="steps over which the learning rate rises"
    )
    decay: Literal["none", "linear", "cosine"] = Field(
        "none", description="how it falls afterwards, to 0 at the end"
    )
    lora: Lora | None = Field(None, description="adapters to train; null: all weights")
    keep: Literal["last", "best"] = Field(
        "last", description="weights to store: of the last step or of the lowest validation loss"
    )
    too_long: Literal["truncate", "drop", "raise"] = Field(
        "truncate", description="what becomes of entries longer than max_length"
    )


class Evaluation(Section):
    """When losses are measured during training."""

    every: Count = Field(5, description="steps between two evaluations")
    batches: Count = Field(5, description="batches of each set measured each time")


class Generation(Section):
    """How responses are written (listing 7.9)."""

    max_new_tokens: Count = Field(256, description="longest response, in tokens")
    temperature: Number = Field(
        0.0, ge=0, description="0: always the likeliest token; above: drawn, the flatter the higher"
    )
    top_k: Count | None = Field(None, description="draw among the k likeliest tokens; null: all")
    seed: Seed = Field(123, description="of the draws; every entry has its own from it")


class Published(Section):
    """Printed results of a recipe, shown in the report beside the run's own."""

    model: str = Field(description="the model they were measured with")
    judge: str = Field(description="the judge they were measured with")
    source: str = Field(description="where they were printed")
    initial_losses: tuple[Number, Number] | None = Field(None, description="train, val before")
    losses: dict[int, tuple[Number, Number]] = Field({}, description="train, val after a step")
    score: Number | None = Field(None, description="mean score")
    score_range: tuple[Number, Number] | None = Field(None, description="of other runs")

    model_config = ConfigDict(strict=False)  # YAML has lists where Python has tuples


HOW = {"gpus", "nodes", "sharding", "resources"}  # of a recipe: how it is computed, not what


class Recipe(Section):
    """One way to finetune: data, prompt style and the settings of each stage."""

    dataset: str = Field(description="name of an entry of datasets")
    prompt: str = Field(
        "alpaca",
        min_length=1,
        description="a file of workflow/prompts, without .yaml, or the path of one's own",
    )
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    generation: Generation = Generation()
    published: Published | None = None
    # How, not what: these change no result and rerun nothing.
    gpus: Count = Field(1, description="processes on each node; a GPU each, where there are GPUs")
    nodes: Count = Field(1, description="machines of a cluster that compute one job")
    sharding: Literal["auto", "none", "full"] = Field(
        "auto",
        description="full: no GPU holds all weights and all that AdamW remembers of them; none: "
        "every GPU does; auto: full if one GPU is too small",
    )
    resources: RecipeResources = RecipeResources()

    @property
    def processes(self) -> int:
        """In all."""
        return self.gpus * self.nodes

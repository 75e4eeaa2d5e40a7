"""The sections of config.yaml as objects, frozen, with a description for every field.

`workflow.lib.config` reads the file into them.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from workflow.lib.section import Count, Name, Names, Number, Section, Seed, Sha256

# Folders of results/ that belong to no model.
RESERVED_NAMES = {"data", "tokens", "logs", "small-world"}


class Source(Section):
    """Where files come from."""

    url: str = Field(min_length=1, description="https or http address, or a local path")
    mirrors: list[str] = Field([], description="other addresses of the same files, tried in order")


class Split(Section):
    """Shares of a data set in file order (listing 7.3); validation gets what remains."""

    train: Number = Field(0.85, gt=0, lt=1, description="share of the entries to train on")
    test: Number = Field(0.10, gt=0, lt=1, description="share of the entries to test on")

    @model_validator(mode="after")
    def leaves_something_to_validate(self) -> "Split":
        if self.train + self.test >= 1:
            raise ValueError(f"train {self.train} + test {self.test} leaves no validation entries")
        return self


class Dataset(Source):
    """A list of entries with instruction, input and output (section 7.2)."""

    sha256: Sha256 | None = Field(None, description="expected digest of the file")
    split: Split = Split()


class Tokenizer(Source):
    """encoder.json and vocab.bpe of a byte-pair encoding, both under the url."""

    sha256: dict[Literal["encoder.json", "vocab.bpe"], Sha256] = Field({}, description="by file")


class Model(Source):
    """A TensorFlow checkpoint in OpenAI's layout of seven files, all under the url."""

    tokenizer: str = Field(description="name of an entry of tokenizers")
    sha256: dict[str, Sha256] = Field({}, description="expected digests by file name")


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


class Recipe(Section):
    """One way to finetune: data, prompt style and the settings of each stage."""

    dataset: str = Field(description="name of an entry of datasets")
    prompt: Name = Field("alpaca", description="a file of workflow/prompts, without .yaml")
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    generation: Generation = Generation()
    published: Published | None = None


class Compare(Section):
    """What `snakemake results/scores.csv` runs: every model with every recipe and judge."""

    models: Names
    recipes: Names
    judges: Names


class Overlap(Section):
    """Agreement of words and numbers with the reference: needs no server, is not an LLM."""

    backend: Literal["overlap"]


class Transport(Section):
    """How a judge's server is spoken to; changes no score, so it reruns nothing."""

    concurrency: Count = Field(1, description="questions asked at the same time")
    timeout: Number = Field(120.0, gt=0, description="seconds an answer may take")
    first_timeout: Number = Field(600.0, gt=0, description="the same, while the model is loaded")
    retries: Annotated[int, Field(ge=0)] = Field(4, description="further tries after a failure")
    backoff: Number = Field(1.0, ge=0, description="seconds before the first of them; doubles")


def _reachable(address: str) -> str:
    """Refuse what no request could be sent to, and passwords, which would end up in records."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("should be an address such as http://localhost:11434")
    if parts.username is not None:
        raise ValueError("should hold no name or password")
    return address


Address = Annotated[str, AfterValidator(_reachable)]


class Asked(Section):
    """What every judge that is asked in words has in common."""

    prompt: str = Field(
        "integer",
        min_length=1,
        description="a file of workflow/prompts/judge, without .yaml, or the path of one's own",
    )
    repeats: Count = Field(1, description="times each entry is judged, the seed one higher each")
    max_failed: Annotated[int, Field(ge=0)] = Field(
        0, description="entries that may stay without an answer before the job fails"
    )
    max_unparsed: Number = Field(
        0.1, ge=0, le=1, description="share of the answers that may hold no readable score"
    )
    options: dict[str, bool | int | float | str | list[str]] = Field(
        {"seed": 123, "temperature": 0}, description="options of the model"
    )
    transport: Transport = Transport()

    @model_validator(mode="after")
    def repeats_differ_by_their_seed(self) -> "Asked":
        if self.repeats > 1 and not isinstance(self.options.get("seed"), int):
            raise ValueError("repeats need a whole number as options.seed, to ask differently")
        return self


class Ollama(Asked):
    """A model of an Ollama server (listings 7.10 and 7.11)."""

    backend: Literal["ollama"]
    model: str = Field(min_length=1, description="as `ollama list` names it")
    url: Address = Field("http://localhost:11434", description="address of the server")
    options: dict[str, bool | int | float | str | list[str]] = Field(
        {"seed": 123, "temperature": 0, "num_ctx": 2048}, description="options of the model"
    )

    @field_validator("options")
    @classmethod
    def keep_what_is_not_named(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Without num_ctx the server cuts prompts where nobody sees it."""
        return {**cls.model_fields["options"].default, **options}

    think: bool | None = Field(None, description="whether a thinking model thinks; its own choice")
    pull: bool = Field(False, description="let the server download the model if it lacks it")


class Prices(Section):
    """What a server charges, in its currency for a million tokens."""

    input: Number = Field(ge=0, description="for the questions")
    output: Number = Field(ge=0, description="for the answers")


class OpenAI(Asked):
    """A model of an OpenAI-compatible server: OpenAI's own, vLLM, llama.cpp and others."""

    backend: Literal["openai"]
    model: str = Field(min_length=1, description="as the server lists it")
    base_url: Address = Field("https://api.openai.com/v1", description="address up to /v1")
    api_key_env: str | None = Field(
        "OPENAI_API_KEY", description="environment variable with the key; null: none needed"
    )
    prices: Prices | None = Field(None, description="to count what the judging costs")


Judge = Annotated[Overlap | Ollama | OpenAI, Field(discriminator="backend")]


class Computing(Section):
    """How a job computes. Only `precision` changes results, and reruns what it does."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of finetuning's matrix products; auto: bf16 on CUDA, else fp32"
    )
    threads: Count | None = Field(
        None, description="CPU threads of a training; null: all there are"
    )
    checkpoint_every: Count | None = Field(
        None, description="steps between two checkpoints to resume from; null: one a minute"
    )

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Computing":
        """The part of all settings, as a job is given them."""
        return cls(**{name: config[name] for name in cls.model_fields.keys() & config.keys()})


class Settings(Computing):
    """All of config.yaml."""

    compare: Compare
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

"""How jobs compute: device, precision, threads, checkpoints, event files."""

from typing import Any, Literal

from pydantic import Field

from workflow.lib.settings.base import Count, Section

SMALL_MODEL = 10_000_000  # parameters


class Computing(Section):
    """How a job computes. Only `precision` reruns anything; `fast` changes rounding alone."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto (a GPU if there is one), cpu, cuda or mps"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of finetuning's matrix products: auto (bf16 on CUDA, else fp32), fp32 or bf16",
    )
    threads: Count | None = Field(
        None,
        description="CPU threads per job; null: all, or one for a model below 10M parameters",
    )
    fast: bool = Field(
        True,
        description="packed batches, faster layers, CUDA graphs; false: the chapter's computations",
    )
    checkpoint_every: Count | None = Field(
        None, description="steps between checkpoints; null: about one a minute"
    )
    tensorboard: bool = Field(
        False,
        description="write the losses for TensorBoard too, to results/MODEL/RECIPE/tensorboard",
    )
    patience: Count = Field(
        600, description="seconds to wait for a process of the same job that does not respond"
    )

    def for_model_size(self, parameters: int) -> "Computing":
        """Return the settings for a model of this many parameters.

        A small model gets one thread: more would mostly wait for each other. Several such models
        are then finetuned side by side, and the results do not depend on the machine's cores.
        """
        if self.takes_one_thread(parameters):
            return self.model_copy(update={"threads": 1})
        return self

    def takes_one_thread(self, parameters: int) -> bool:
        """Return whether a model of this size gets one thread because `threads` is not set."""
        return self.threads is None and parameters < SMALL_MODEL

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Computing":
        """Take these settings out of the whole config, as a job receives it."""
        return cls(**{name: config[name] for name in cls.model_fields.keys() & config.keys()})

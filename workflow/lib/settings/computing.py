"""How jobs compute."""

from typing import Any, Literal

from pydantic import Field

from workflow.lib.settings.base import Count, Section

SMALL = 10_000_000  # parameters


class Computing(Section):
    """How a job computes. Only `precision` changes results, and reruns what it does."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of finetuning's matrix products; auto: bf16 on CUDA, else fp32"
    )
    threads: Count | None = Field(
        None,
        description="CPU threads of finetuning and generating; null: all, or one for a small model",
    )
    checkpoint_every: Count | None = Field(
        None, description="steps between two checkpoints to resume from; null: one a minute"
    )
    patience: Count = Field(
        600, description="seconds the processes of a job wait for one that does not answer"
    )

    def suited_to(self, parameters: int) -> "Computing":
        """The same for a model of so many parameters, a small one with one thread.

        Its threads would mostly wait for each other. With one, several models are finetuned side by
        side, and the results do not depend on how many cores a machine has.
        """
        return self.model_copy(update={"threads": 1}) if self.spares_threads(parameters) else self

    def spares_threads(self, parameters: int) -> bool:
        """Whether a model of so many parameters is small enough for that, and nothing else said."""
        return self.threads is None and parameters < SMALL

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Computing":
        """The part of all settings, as a job is given them."""
        return cls(**{name: config[name] for name in cls.model_fields.keys() & config.keys()})

"""What jobs request of a cluster and what its machines have."""

from pydantic import Field

from workflow.lib.settings.base import Count, Number, Section


class JobResources(Section):
    """What a job requests; lib/cluster/estimate.py estimates what is null."""

    mem_mb: Count | None = Field(None, description="memory per host in MB; null: estimated")
    runtime: Count | None = Field(None, description="time limit in minutes; null: estimated")


class RecipeResources(Section):
    """What the two rules that compute request of a cluster."""

    finetune: JobResources = JobResources()
    generate: JobResources = JobResources()


class Limits(Section):
    """The most that a machine of the cluster has; a job that needs more is not submitted."""

    gpu_memory_gb: Number | None = Field(
        None, gt=0, description="memory of one GPU in GB; null: not checked"
    )
    mem_mb: Count | None = Field(None, description="memory of a host in MB; null: not checked")

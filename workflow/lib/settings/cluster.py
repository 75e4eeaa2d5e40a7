"""The resources that jobs request of a cluster, and the limits of its machines."""

from pydantic import Field

from workflow.lib.settings.base import Count, Number, Section


class JobResources(Section):
    """The resources a job requests; lib/cluster/estimate.py estimates those that are null."""

    mem_mb: Count | None = Field(None, description="memory per host in MB; null: estimated")
    runtime: Count | None = Field(None, description="time limit in minutes; null: estimated")


class RecipeResources(Section):
    """The requests of the rules `finetune` and `generate`."""

    finetune: JobResources = JobResources()
    generate: JobResources = JobResources()


class Limits(Section):
    """The memory of the cluster's machines; a job that needs more is not submitted."""

    gpu_memory_gb: Number | None = Field(
        None, gt=0, description="memory of one GPU in GB; null: not checked"
    )
    mem_mb: Count | None = Field(None, description="memory of a host in MB; null: not checked")

"""What jobs ask a cluster for, where the estimate should not decide, and what it has."""

from pydantic import Field

from workflow.lib.settings.base import Count, Number, Section


class JobResources(Section):
    """What one job asks for; null: estimated from model and recipe (lib/cluster/estimate.py)."""

    mem_mb: Count | None = Field(None, description="memory of the host, in MB, on every node")
    runtime: Count | None = Field(None, description="minutes until the cluster may end the job")


class RecipeResources(Section):
    """Of the two rules that compute."""

    finetune: JobResources = JobResources()
    generate: JobResources = JobResources()


class Limits(Section):
    """The most that a machine of the site has; a job that needs more is not submitted."""

    gpu_memory_gb: Number | None = Field(None, gt=0, description="of one GPU; null: not checked")
    mem_mb: Count | None = Field(None, description="of one host; null: not checked")

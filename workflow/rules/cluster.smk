# The resources that jobs request of a cluster, and jobs that outlive the run that started them.

import os
import re
import sys
from functools import lru_cache
from types import SimpleNamespace

from snakemake.exceptions import ResourceValidationError

from workflow.lib.cluster.earlier_jobs import wait_for_earlier_jobs
from workflow.lib.cluster.estimate import (
    asked_for,
    convert_needs,
    export_needs,
    finetune_needs,
    generate_needs,
    refuse_if_too_large,
)
from workflow.lib.cluster.generic_jobs import wait_for_generic_jobs
from workflow.lib.cluster.workload import UNKNOWN, workload_of_entries, workload_of_tokens
from workflow.lib.model.shape import shape_of_run, shape_of_weights
from workflow.lib.runtime.errors import UserError, one_line
from workflow.lib.settings.cluster import JobResources

# Versions of Snakemake with the internal that `record_outputs_in_the_job` changes.
KNOWN_VERSIONS = ("9.27.",)


@lru_cache(maxsize=None)
def read_once(read, path, changed_at):
    return read(Path(path))


def known(read, path):
    """Return what is read from a file, reading it again only if the file changed.

    A damaged file, or one that may not be read, ends the run in one line.
    """
    try:
        return read_once(read, path, os.stat(path).st_mtime_ns)
    except (UserError, PermissionError) as error:
        raise ResourceValidationError(f"error: {one_line(error)}")


# Resources are functions: Snakemake calls them again before it submits a job, when the job's inputs
# tell how large it is. In a dry run before that, it shows them as "to be determined".
def finetune_asks_for(name):
    def value(wildcards, input, attempt):
        recipe = recipe_of(wildcards)
        shape = known(shape_of_weights, input.weights)
        data = known(workload_of_tokens, input.train)
        refuse_if_no_machine_fits(
            f"finetune {wildcards.model} {wildcards.recipe}", shape, recipe, data
        )
        needs = finetune_needs(shape, recipe, data, SETTINGS.device)
        return asked_for(needs, recipe.resources.finetune, attempt)[name]

    return value


def generate_asks_for(name):
    def value(wildcards, input, attempt):
        recipe = recipe_of(wildcards)
        shape, data = known(shape_of_run, input.training), known(workload_of_entries, input.entries)
        needs = generate_needs(shape, recipe, data, SETTINGS.device)
        return asked_for(needs, recipe.resources.generate, attempt)[name]

    return value


def convert_asks_for(name):
    def value(wildcards, input, attempt):
        size = max(os.stat(path).st_size for path in input)
        return asked_for(convert_needs(size), JobResources(), attempt)[name]

    return value


def export_asks_for(name):
    def value(wildcards, input, attempt):
        needs = export_needs(known(shape_of_run, input.training))
        return asked_for(needs, JobResources(), attempt)[name]

    return value


def of_recipe(value):
    """Return a resource that depends on the recipe alone.

    It is the value itself where all recipes have the same one: Snakemake calls a function for each
    job, which would be a good part of the time that it takes to plan hundreds of runs.
    """
    values = {value(recipe) for recipe in SETTINGS.recipes.values()}
    return values.pop() if len(values) == 1 else lambda wildcards: value(recipe_of(wildcards))


def all_gpus(recipe):
    """Return the GPUs of all nodes together, 0 if config.yaml says `device: cpu`."""
    return 0 if SETTINGS.device == "cpu" else recipe.processes


# A job of several nodes gets one task on each, and the same number of GPUs. With `mpi` Slurm's executor
# starts the job's Snakemake on the first node, outside of any task; `launch` starts the tasks.
MPI = of_recipe(lambda recipe: "srun" if recipe.nodes > 1 else None)
TASKS = of_recipe(lambda recipe: recipe.nodes if recipe.nodes > 1 else None)
TASKS_PER_GPU = of_recipe(lambda recipe: 0 if recipe.nodes > 1 else None)  # else TASKS per GPU


def gpus_of_each_node(wildcards, rulename, **others):
    """Return GPUs per node as Slurm writes it, of the profile's `gpu_model`; None for one node."""
    recipe = recipe_of(wildcards)
    if recipe.nodes == 1 or not all_gpus(recipe):
        return None
    profile = workflow.get_rule(rulename).resources
    model = profile.get("gpu_model").evaluate(wildcards, rulename=rulename, **others).value
    return ":".join(["gpu", *([model] if model else []), str(recipe.gpus)])


GRES = gpus_of_each_node if any(r.nodes > 1 for r in SETTINGS.recipes.values()) else None


def refuse_if_no_machine_fits(job, shape, recipe, data):
    """Refuse, in one line, a job that needs more than any machine of the site has."""
    try:
        refuse_if_too_large(job, shape, recipe, data, SETTINGS.limits, SETTINGS.device)
    except UserError as error:
        raise ResourceValidationError(f"error: {error}")


def refuse_what_cannot_fit():
    """Refuse such jobs before anything runs, as far as their sizes are known by then."""
    for model in SETTINGS.compare.models:
        shape = shape_of_model(model)
        for name in RUNS if shape else ():
            recipe = SETTINGS.recipes[name]
            tokens = Path(tokens_of(SimpleNamespace(model=model, recipe=name), "train"))
            data = workload_of_tokens(tokens) if tokens.exists() else UNKNOWN
            refuse_if_too_large(
                f"finetune {model} {name}", shape, recipe, data, SETTINGS.limits, SETTINGS.device
            )


def record_outputs_in_the_job():
    """Have a submitted job record what its outputs were made from.

    Snakemake leaves that to the run that submitted the job. If that run was killed meanwhile, the
    outputs would have no record, and no later change would make them again. In 9.27 a job records
    its outputs only if `immediate_submit` is set, so it is set for that moment.
    """
    import snakemake
    from snakemake.persistence import PersistenceBase

    if not snakemake.__version__.startswith(KNOWN_VERSIONS):
        print(
            f"warning: Snakemake {snakemake.__version__} is none of {', '.join(KNOWN_VERSIONS)}x, "
            "so jobs do not record their outputs: if the submitting run is killed, make the outputs "
            "of its last jobs again with --forcerun",
            file=sys.stderr,
        )
        return
    finished = PersistenceBase.finished

    async def finished_with_record(self, job):
        # Not in the process that only waits for the one that runs the script.
        workflow.remote_execution_settings.immediate_submit = workflow.local_exec
        try:
            await finished(self, job)
        finally:
            workflow.remote_execution_settings.immediate_submit = False

    PersistenceBase.finished = finished_with_record


def refuse_folder_of_python():
    """Refuse a folder whose name Snakemake writes into the script of a job without quoting it."""
    if re.search(r"[\s'\"\\$`&;()]", sys.executable):
        sys.exit(
            f"error: {sys.executable}: jobs on other machines cannot be started from a folder with this "
            "name; move the checkout to one without spaces, quotes and the like, and make .venv again"
        )


if workflow.remote_exec:
    record_outputs_in_the_job()
elif workflow.is_main_process:
    submits = workflow.resource_settings.nodes is not None  # none for jobs that run here
    if submits:
        refuse_folder_of_python()
    or_exit(refuse_what_cannot_fit)
    # Here and not in `onstart`: Snakemake calls that when it has decided which jobs to run, so
    # jobs that are still running would run again. It reports a locked folder itself.
    # Unlocking runs nothing.
    starts = not workflow.output_settings.dryrun and "--unlock" not in sys.argv
    if starts and not any(Path(".snakemake/locks").glob("*")):
        or_exit(wait_for_earlier_jobs, Path.cwd(), submits)
        or_exit(wait_for_generic_jobs, Path.cwd())

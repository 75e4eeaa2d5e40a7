# What jobs ask a cluster for, and what becomes of jobs that outlive the run that submitted them.

import os
from functools import lru_cache
from types import SimpleNamespace

from snakemake.exceptions import ResourceValidationError
from snakemake.persistence import PersistenceBase

from workflow.lib.cluster.earlier_jobs import wait_for_earlier_jobs
from workflow.lib.runtime.errors import UserError
from workflow.lib.cluster.estimate import (
    asked_for,
    finetune_needs,
    generate_needs,
    refuse_if_too_large,
)
from workflow.lib.model.shape import shape_of_run, shape_of_weights
from workflow.lib.cluster.workload import UNKNOWN, workload_of_entries, workload_of_tokens


@lru_cache(maxsize=None)
def read_once(read, path, changed_at):
    return read(Path(path))


def known(read, path):
    """What is read from a file, again only if the file changed."""
    return read_once(read, path, os.stat(path).st_mtime_ns)


# Resources are functions: they are evaluated again before a job is submitted, when its inputs are
# there to tell how large it is. In a dry run before that, they are to be determined.
def finetune_asks_for(name):
    def value(wildcards, input, attempt):
        recipe = recipe_of(wildcards)
        shape = known(shape_of_weights, input.weights)
        data = known(workload_of_tokens, input.train)
        refuse(f"finetune {wildcards.model} {wildcards.recipe}", shape, recipe, data)
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


def convert_memory(wildcards, input, attempt):
    """TensorFlow, the checkpoint and twice its weights."""
    [weights] = [path for path in input if ".data-" in path]
    return int((2000 + 3 * os.stat(weights).st_size / 1e6) * (1 + attempt) / 2)


def gpus_of(wildcards):
    """Of all nodes together; none where the config computes on processors."""
    return 0 if SETTINGS.device == "cpu" else recipe_of(wildcards).processes


def refuse(what, shape, recipe, data):
    """Stop with one line at a job that fits nowhere."""
    try:
        refuse_if_too_large(what, shape, recipe, data, SETTINGS.limits, SETTINGS.device)
    except UserError as error:
        raise ResourceValidationError(f"error: {error}")


def refuse_what_cannot_fit():
    """The same before anything runs, as far as sizes are known by then."""
    for model in SETTINGS.compare.models:
        source = SETTINGS.models[model]
        shape = shape_of_source(source.url, Path("resources/gpt2", model))
        for name in SETTINGS.compare.recipes if shape else ():
            recipe = SETTINGS.recipes[name]
            tokens = Path(tokens_of(SimpleNamespace(model=model, recipe=name), "train"))
            data = workload_of_tokens(tokens) if tokens.exists() else UNKNOWN
            refuse_if_too_large(
                f"finetune {model} {name}", shape, recipe, data, SETTINGS.limits, SETTINGS.device
            )


def keep_the_record_in_the_job():
    """Note in a job, too, what its outputs were made from.

    Snakemake leaves that to the run that submitted the job, which may have been killed meanwhile:
    the outputs would have no record, and no later change would make them again. Submitting
    immediately, which is told here for that moment, means nothing else to this function.
    """
    finished = PersistenceBase.finished

    async def finished_with_record(self, job):
        workflow.remote_execution_settings.immediate_submit = True
        try:
            await finished(self, job)
        finally:
            workflow.remote_execution_settings.immediate_submit = False

    PersistenceBase.finished = finished_with_record


if workflow.remote_exec:
    keep_the_record_in_the_job()
elif workflow.is_main_process:
    or_exit(refuse_what_cannot_fit)
    # A folder that is locked is left to Snakemake, which says so.
    if not workflow.output_settings.dryrun and not any(Path(".snakemake/locks").glob("*")):
        or_exit(wait_for_earlier_jobs, Path.cwd())

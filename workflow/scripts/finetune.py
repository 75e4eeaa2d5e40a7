"""Finetune a model (listing 7.8)."""

from functools import partial
from pathlib import Path

from workflow.lib.model.shape import shape_of_weights
from workflow.lib.parallel.launching.launch import launch
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing
from workflow.lib.training.finetune import FinetuneJob, claim

with rule_log(snakemake.log[0], partial(claim, snakemake.output.model)):
    shape = shape_of_weights(Path(snakemake.input.weights))
    inputs = ("weights", "train", "val", "val_entries")
    job = FinetuneJob(
        inputs={name: snakemake.input[name] for name in inputs},
        outputs=dict(snakemake.output.items()),
        tokenizer=Path(snakemake.input.tokenizer[0]).parent,
        **{name: snakemake.params[name] for name in ("style", "training", "evaluation", "code")},
        computing=Computing.of(snakemake.config).for_model_size(shape.parameters),
        sharding=snakemake.resources.sharding,
    )
    launch(job, snakemake.resources.processes, snakemake.resources.nodes, snakemake.log[0])

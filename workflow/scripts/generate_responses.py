"""Generate responses to the test entries (listing 7.9)."""

from pathlib import Path

from workflow.lib.generation.responses import ResponsesJob
from workflow.lib.model.shape import shape_of_run
from workflow.lib.parallel.launching.launch import launch
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing

with rule_log(snakemake.log[0]):
    shape = shape_of_run(Path(snakemake.input.training))
    job = ResponsesJob(
        **{name: snakemake.input[name] for name in ("model", "training", "entries")},
        tokenizer=Path(snakemake.input.tokenizer[0]).parent,
        output=snakemake.output[0],
        **{name: snakemake.params[name] for name in ("style", "generation")},
        computing=Computing.of(snakemake.config).for_model_size(shape.parameters),
    )
    launch(job, snakemake.resources.processes, snakemake.resources.nodes, snakemake.log[0])

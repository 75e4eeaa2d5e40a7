"""Answer the test entries (listing 7.9)."""

from pathlib import Path

from workflow.lib.generation.generate import generate_job
from workflow.lib.model.shape import shape_of_run
from workflow.lib.parallel.launch import Processes, compute
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing

with rule_log(snakemake.log[0]):
    job = {
        **{name: snakemake.input[name] for name in ("model", "training", "entries")},
        "tokenizer": str(Path(snakemake.input.tokenizer[0]).parent),
        "style": snakemake.params.style,
        "generation": snakemake.params.generation,
        "output": snakemake.output[0],
    }
    shape = shape_of_run(Path(snakemake.input.training))
    computing = Computing.of(snakemake.config).for_model_size(shape.parameters)
    processes = Processes(snakemake.resources.processes, snakemake.resources.nodes)
    compute(generate_job, job, computing, processes, snakemake.log[0])

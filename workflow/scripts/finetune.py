"""Finetune a model (listing 7.8)."""

from pathlib import Path

from workflow.lib.model.shape import shape_of_weights
from workflow.lib.parallel.launch import Processes, compute
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing
from workflow.lib.training.finetune import Inputs, finetune_job

with rule_log(snakemake.log[0]):
    shape = shape_of_weights(Path(snakemake.input.weights))
    computing = Computing.of(snakemake.config).for_model_size(shape.parameters)
    job = {
        "inputs": {name: snakemake.input[name] for name in Inputs.__dataclass_fields__},
        "outputs": dict(snakemake.output.items()),
        "tokenizer": str(Path(snakemake.input.tokenizer[0]).parent),
        **{name: snakemake.params[name] for name in ("style", "training", "evaluation")},
        "how": computing.model_dump(include={"precision", "checkpoint_every"})
        | {"code": snakemake.params.code, "sharding": snakemake.resources.sharding},
    }
    processes = Processes(snakemake.resources.processes, snakemake.resources.nodes)
    compute(finetune_job, job, computing, processes, snakemake.log[0])

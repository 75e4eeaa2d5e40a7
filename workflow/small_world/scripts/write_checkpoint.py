"""Save a base model and its tokenizer in the seven files of OpenAI's layout."""

from pathlib import Path

from workflow.lib.runtime.log import rule_log
from workflow.small_world.ship import ship_base_model

with rule_log(snakemake.log[0]):
    ship_base_model(
        Path(snakemake.input.weights),
        Path(snakemake.input.tokenizer[0]).parent,
        snakemake.params.shape,
        Path(snakemake.output[0]).parent,
    )

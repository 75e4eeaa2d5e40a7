"""Write the pretraining text of the small world's base models."""

from pathlib import Path

from workflow.lib.runtime.log import rule_log
from workflow.small_world.corpus import write_corpus

with rule_log(snakemake.log[0]):
    write_corpus(Path(snakemake.output[0]), Path(snakemake.input[0]), **snakemake.params.corpus)

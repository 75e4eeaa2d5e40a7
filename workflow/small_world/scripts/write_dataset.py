"""Write the small world's instruction data set."""

from pathlib import Path

from workflow.lib.runtime.log import rule_log
from workflow.small_world.dataset import write_dataset

with rule_log(snakemake.log[0]):
    write_dataset(Path(snakemake.output[0]), snakemake.params.seed)

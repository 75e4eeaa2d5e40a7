"""Write the small world's instruction data set."""

from workflow.lib.runlog import rule_log
from workflow.lib.small_world.dataset import write_dataset

with rule_log(snakemake.log[0]):
    write_dataset(snakemake.output[0], snakemake.params.seed)

"""Write the text that the small world's base models learn from."""

from workflow.lib.runtime.log import rule_log
from workflow.small_world.corpus import write_corpus

with rule_log(snakemake.log[0]):
    write_corpus(snakemake.output[0], snakemake.input[0], **snakemake.params.corpus)

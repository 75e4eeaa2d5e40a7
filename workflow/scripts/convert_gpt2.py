"""Convert a TensorFlow checkpoint (listing 7.7)."""

from pathlib import Path

from workflow.lib.model.openai_checkpoint import convert_checkpoint
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    output = Path(snakemake.output[0])
    convert_checkpoint(Path(snakemake.input[0]).parent, output)

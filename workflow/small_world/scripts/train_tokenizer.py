"""Train the small world's tokenizer."""

from pathlib import Path

from workflow.lib.runtime.log import rule_log
from workflow.small_world.bpe import train_tokenizer

with rule_log(snakemake.log[0]):
    train_tokenizer(
        Path(snakemake.input.corpus),
        Path(snakemake.input.dataset),
        Path(snakemake.output[0]).parent,
        snakemake.params.vocab_size,
    )

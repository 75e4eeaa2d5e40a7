"""Tokenize a split (listing 7.4)."""

from pathlib import Path

from workflow.lib.runtime.log import rule_log
from workflow.lib.tokens.dataset import tokenize_split
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer

with rule_log(snakemake.log[0]):
    tokenize_split(
        Path(snakemake.input.entries),
        load_tokenizer(Path(snakemake.input.tokenizer[0]).parent),
        PromptStyle(**snakemake.params.style),
        Path(snakemake.output[0]),
    )

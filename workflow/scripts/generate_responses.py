"""Answer the test entries (listing 7.9)."""

from pathlib import Path

from workflow.lib.checkpoint import load_trained_model
from workflow.lib.device import prepare_device
from workflow.lib.generate import write_responses
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import rule_log
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokenizer import load_tokenizer

with rule_log(snakemake.log[0]):
    model = load_trained_model(Path(snakemake.input.model), Path(snakemake.input.training))
    write_responses(
        model.to(prepare_device(Computing.of(snakemake.config))),
        Path(snakemake.input.entries),
        load_tokenizer(Path(snakemake.input.tokenizer[0]).parent),
        PromptStyle(**snakemake.params.style),
        Generation(**snakemake.params.generation),
        Path(snakemake.output[0]),
    )

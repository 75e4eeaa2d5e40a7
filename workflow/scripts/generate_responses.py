"""Answer the test entries (listing 7.9)."""

from pathlib import Path

from workflow.lib.checkpoint import load_trained_model
from workflow.lib.device import prepare_device
from workflow.lib.generate import write_responses
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import rule_log
from workflow.lib.settings import Generation
from workflow.lib.tokenizer import load_tokenizer

with rule_log(snakemake.log[0]):
    chosen = {name: snakemake.config.get(name) for name in ("device", "threads", "precision")}
    write_responses(
        load_trained_model(Path(snakemake.input.model), Path(snakemake.input.training)).to(
            prepare_device(chosen["device"] or "auto", chosen["threads"], chosen["precision"])
        ),
        Path(snakemake.input.entries),
        load_tokenizer(Path(snakemake.input.tokenizer[0]).parent),
        PromptStyle(**snakemake.params.style),
        Generation(**snakemake.params.generation),
        Path(snakemake.output[0]),
    )

"""Write a variant in Hugging Face's layout."""

from pathlib import Path

from workflow.lib.export.huggingface import ExportInputs, export_variant
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle

with rule_log(snakemake.log[0]):
    export_variant(
        ExportInputs(
            **{name: Path(snakemake.input[name]) for name in ("model", "training", "losses")},
            tokenizer=Path(snakemake.input.tokenizer[0]).parent,
            scores=[Path(path) for path in snakemake.params.scores],
            wins=[Path(path) for path in snakemake.params.wins],
        ),
        PromptStyle(**snakemake.params.style),
        Generation(**snakemake.params.generation),
        snakemake.params.names,
        Path(snakemake.output[0]).parent,
    )

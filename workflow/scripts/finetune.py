"""Finetune a model (listing 7.8)."""

from pathlib import Path

from workflow.lib.device import prepare_device
from workflow.lib.finetune import Inputs, Outputs, finetune
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import rule_log
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokenizer import load_tokenizer

with rule_log(snakemake.log[0]):
    computing = Computing.of(snakemake.config)
    finetune(
        Inputs(**{name: Path(snakemake.input[name]) for name in Inputs.__dataclass_fields__}),
        Outputs(**{name: Path(path) for name, path in snakemake.output.items()}),
        load_tokenizer(Path(snakemake.input.tokenizer[0]).parent),
        PromptStyle(**snakemake.params.style),
        Training(**snakemake.params.training),
        Evaluation(**snakemake.params.evaluation),
        prepare_device(computing),
        code=snakemake.params.code,
        **computing.model_dump(include={"precision", "checkpoint_every"}),
    )

"""Finetune a model (listing 7.8)."""

from pathlib import Path

from workflow.lib.device import prepare_device
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import rule_log
from workflow.lib.settings import Evaluation, Training
from workflow.lib.tokenizer import load_tokenizer
from workflow.lib.train import Inputs, Outputs, finetune

with rule_log(snakemake.log[0]):
    files, params, chosen = snakemake.input, snakemake.params, snakemake.config
    precision = chosen.get("precision", "auto")
    finetune(
        Inputs(**{name: Path(files[name]) for name in Inputs.__dataclass_fields__}),
        Outputs(**{name: Path(path) for name, path in snakemake.output.items()}),
        load_tokenizer(Path(files.tokenizer[0]).parent),
        PromptStyle(**params.style),
        Training(**params.training),
        Evaluation(**params.evaluation),
        prepare_device(chosen.get("device", "auto"), chosen.get("threads"), precision),
        precision=precision,
        code=params.code,
        checkpoint_every=chosen.get("checkpoint_every"),
    )

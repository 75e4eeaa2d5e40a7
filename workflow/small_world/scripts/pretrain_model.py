"""Pretrain one of the small world's base models."""

from pathlib import Path

import torch

from workflow.lib.runtime.log import rule_log
from workflow.small_world.pretrain import Pretraining, pretrain_base_model

with rule_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    settings = snakemake.params.settings
    pretrain_base_model(
        Path(snakemake.input.corpus),
        Path(snakemake.input.tokenizer[0]).parent,
        settings["shape"],
        Pretraining(**settings["pretraining"]),
        weights=Path(snakemake.output.weights),
        probes=Path(snakemake.output.probes),
    )

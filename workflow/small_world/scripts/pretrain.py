"""Pretrain one of the small world's base models."""

from pathlib import Path

import torch

from workflow.lib.runtime.log import rule_log
from workflow.small_world.pretrain import Pretraining, pretrain_base_model

with rule_log(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    settings = snakemake.params.settings
    pretrain_base_model(
        snakemake.input.corpus,
        Path(snakemake.input[0]).parent,
        settings["shape"],
        Pretraining(**settings["pretraining"]),
        weights=snakemake.output.weights,
        probes=snakemake.output.probes,
    )

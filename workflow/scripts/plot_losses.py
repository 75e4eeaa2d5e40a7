"""Draw loss.png (figure 7.17)."""

from pathlib import Path

from workflow.lib.report.plots.losses import plot_losses
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    plot_losses(
        Path(snakemake.input.losses), Path(snakemake.input.training), Path(snakemake.output[0])
    )

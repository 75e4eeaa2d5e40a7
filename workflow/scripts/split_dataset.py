"""Split a data set (listing 7.3)."""

from pathlib import Path

from workflow.lib.data import split_dataset
from workflow.lib.runlog import rule_log
from workflow.lib.settings.sources import Split

with rule_log(snakemake.log[0]):
    split_dataset(
        Path(snakemake.input.dataset),
        Split(**snakemake.params.split),
        **{name: Path(path) for name, path in snakemake.output.items()},
    )

"""Read a data set and split it (listing 7.3)."""

from pathlib import Path

from workflow.lib.data.split import split_dataset
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.sources import Selection

with rule_log(snakemake.log[0]):
    split_dataset(
        dict(zip(snakemake.params.parts, map(Path, snakemake.input), strict=True)),
        Selection(**snakemake.params.selection),
        snakemake.params.key,
        **{name: Path(path) for name, path in snakemake.output.items()},
    )

"""Find duplicates, leaks and other weaknesses of a data set."""

from pathlib import Path

from workflow.lib.data.quality.measure import measure_quality
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    measure_quality(
        {name: Path(path) for name, path in snakemake.input.items()},
        snakemake.params.near,
        Path(snakemake.output[0]),
    )

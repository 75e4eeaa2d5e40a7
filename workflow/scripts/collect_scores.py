"""Join all scores.csv files into one table, and record what the comparison was made from."""

from pathlib import Path

from workflow.lib.report.all_scores import collect_scores
from workflow.lib.report.manifest import write_config, write_manifest
from workflow.lib.report.parquet import write_parquet
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    collect_scores(list(map(Path, snakemake.input.tables)), Path(snakemake.output[0]))
    write_parquet(Path(snakemake.output[0]), Path(snakemake.output.parquet))
    write_config(snakemake.params.settings, Path(snakemake.output.config))
    write_manifest(
        snakemake.params.settings,
        [Path(path) for path in snakemake.input.trainings],
        [Path(path) for path in (*snakemake.input, *snakemake.output)],
        Path(snakemake.output.manifest),
    )

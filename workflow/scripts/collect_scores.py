"""Join all scores.csv files into one table, as CSV and as Parquet."""

from pathlib import Path

from workflow.lib.report.parquet import write_parquet
from workflow.lib.report.summary import collect_scores
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    collect_scores(list(map(Path, snakemake.input.tables)), Path(snakemake.output[0]))
    write_parquet(Path(snakemake.output[0]), Path(snakemake.output.parquet))

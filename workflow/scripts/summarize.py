"""Write summary.csv and summary.parquet: a row per variant and judge (end of section 7.8)."""

from pathlib import Path

from workflow.lib.report.parquet import write_parquet
from workflow.lib.report.summary import summarize
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    summarize(
        [Path(table) for table in snakemake.input.tables],
        snakemake.params.recipes,
        {Path(path).parent.name: Path(path) for path in snakemake.input.qualities},
        Path(snakemake.output[0]),
        [Path(table) for table in snakemake.input.wins],
    )
    write_parquet(Path(snakemake.output[0]), Path(snakemake.output.parquet))

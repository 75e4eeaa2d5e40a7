"""Write summary.csv: a row per variant and judge, with intervals (end of section 7.8)."""

from pathlib import Path

from workflow.lib.report.summary import summarize
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    files = {name: list(map(Path, paths)) for name, paths in snakemake.input.items()}
    summarize(**files, recipes=snakemake.params.recipes, output=Path(snakemake.output[0]))

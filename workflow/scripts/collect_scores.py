"""All scores in one table, one row an entry."""

from pathlib import Path

from workflow.lib.runlog import rule_log
from workflow.lib.summary import collect_scores

with rule_log(snakemake.log[0]):
    collect_scores(list(map(Path, snakemake.input.tables)), Path(snakemake.output[0]))

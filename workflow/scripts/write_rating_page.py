"""Write rating.html, on which people rate the answers, and its key."""

from pathlib import Path

from workflow.lib.report.rating import write_rating_page
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    write_rating_page(
        [Path(path) for path in snakemake.input],
        snakemake.params.entries,
        snakemake.params.seed,
        Path(snakemake.output.page),
        Path(snakemake.output.key),
    )

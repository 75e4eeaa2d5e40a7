"""Write report.html, the page about the whole comparison."""

from pathlib import Path

from workflow.lib.report.manifest import made_by
from workflow.lib.report.page import write_report
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    write_report(
        [Path(path).parent for path in snakemake.input.trainings],
        snakemake.params.recipes,
        snakemake.params.judges,
        snakemake.params.settings,
        {Path(path).parent.name: Path(path) for path in snakemake.input.qualities},
        Path(snakemake.input.summary),
        Path(snakemake.output[0]),
        [Path(path) for path in snakemake.input.tokens],
        snakemake.params.pairwise,
        made_by(),
    )

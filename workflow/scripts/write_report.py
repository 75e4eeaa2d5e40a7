"""Write the page that shows the whole comparison."""

from pathlib import Path

from workflow.lib.report.page import write_report
from workflow.lib.report.runs import Variant
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    folders = [Path(path).parent for path in snakemake.input.trainings]
    write_report(
        [Variant(folder.parent.name, folder.name, folder) for folder in folders],
        snakemake.params.judges,
        snakemake.params.settings,
        {Path(path).parent.name: Path(path) for path in snakemake.input.qualities},
        Path(snakemake.input.summary),
        Path(snakemake.output[0]),
        [Path(path) for path in snakemake.input.tokens],
    )

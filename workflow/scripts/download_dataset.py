"""Download a data set (listing 7.1)."""

from pathlib import Path

from workflow.lib.data.download.data_set import check_data_set
from workflow.lib.data.download.fetch import fetch_file
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    source = snakemake.params.source
    fetch_file(
        source["url"],
        source["mirrors"],
        Path(snakemake.output[0]),
        sha256=source["sha256"],
        store=Path("resources/downloads"),
        key=snakemake.params.key,
        check=check_data_set,
    )

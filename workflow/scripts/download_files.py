"""Download files of one folder: those of a tokenizer or of a base model."""

from pathlib import Path

from workflow.lib.data.download.fetch import fetch
from workflow.lib.data.download.gpt2_files import check_gpt2_file
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    source = snakemake.params.source
    fetch(
        source["url"],
        source["mirrors"],
        dict(zip(snakemake.params.names, map(Path, snakemake.output), strict=True)),
        sha256=source["sha256"],
        store=Path("resources/downloads"),
        key=snakemake.params.key,
        check=check_gpt2_file,
    )

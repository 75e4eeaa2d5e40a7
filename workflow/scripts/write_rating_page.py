"""Write rating.html, on which people rate the answers, and its key."""

from pathlib import Path

from workflow.lib.report.rating import write_pairs_page, write_rating_page
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    others = (params.entries, params.seed, Path(output.page), Path(output.key))
    paths = [Path(path) for path in snakemake.input.responses]
    if params.baselines is None:
        write_rating_page(paths, *others)
    else:
        baselines = [Path(path) if path else None for path in params.baselines]
        write_pairs_page(dict(zip(paths, baselines, strict=True)), *others)

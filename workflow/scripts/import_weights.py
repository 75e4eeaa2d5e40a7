"""Convert a base model of Hugging Face, of the chapter or of this pipeline (train onward)."""

from pathlib import Path

from workflow.lib.model.imports import import_weights
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    import_weights(
        snakemake.params.format,
        [Path(path) for path in snakemake.input],
        snakemake.params.n_heads,
        Path(snakemake.output[0]),
    )

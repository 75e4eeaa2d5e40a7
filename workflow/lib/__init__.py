"""All the logic of the pipeline; nothing here knows of Snakemake."""

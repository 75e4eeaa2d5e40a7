"""All the logic of the pipeline; nothing here knows of Snakemake."""

import os

# Threads that wait for each other should sleep, not spin: beside any other busy program spinning
# makes training several times slower. Counts only if set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""All the logic of the pipeline; nothing here knows of Snakemake."""

import os

# Both count only if set before torch is imported.
# Threads that wait for each other should sleep, not spin: beside any other busy program spinning
# makes training several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# When one of several processes ends, torch's native code prints pages about its connections.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

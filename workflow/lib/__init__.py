"""All the logic of the pipeline; nothing here knows of Snakemake."""

import os

# Threads of a computation that wait for each other spin by default. Where another program wants the
# processor too, they spin away the very time they are waiting for, and a small training takes many
# times as long. OpenMP reads this when torch is imported, which no module does before this one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""What the pipeline does on one GPU: does it work, is it right, is it fast, what does it need.

python -m benchmarks.gpu [STAGE ...] --data FOLDER --out FOLDER [--minutes N] [--quick]

`__main__.py` runs the stages, one module each, and prints a table beside the targets.
`--device cpu --tiny` tests all but the CUDA graphs without a GPU.
"""

import os

# torch looks for it once, at the first matrix product of a process.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

"""Faster ways to compute the same numbers, up to rounding.

In: a plain model and a padded batch. Out: the same loss and the same gradients in less time.
Open `packing.py` first; `cpu_kernels.py` is for a CPU, `cuda_graphs.py` for CUDA.
"""

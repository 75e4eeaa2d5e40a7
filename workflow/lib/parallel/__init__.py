"""One job computed by one process or by several.

In: a model, and the rank of this process among all. Out: the losses, gradients and weights that a
single process computes. Open `engine.py` first, which is one process; `graph_engine.py` is one on
CUDA; `distributed.py` is several.
"""

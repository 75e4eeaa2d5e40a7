"""The devices that each test here computes on: the CPU, the CPU with recorded graphs, and CUDA."""

import os

import pytest
import torch

from tests.support.recorded_graphs import record_graphs
from tests.support.training_case import make_files
from workflow.lib.fast.cuda_graphs import Graphs
from workflow.lib.model.device import prepare_device
from workflow.lib.settings.computing import Computing

# torch looks for it once, at the first matrix product of a process.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(params=["cpu", "recorded", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """A device that is prepared as for a job; "recorded" is a CPU with the graphs of CUDA."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    kind = "cuda" if request.param == "cuda" else "cpu"
    if request.param == "recorded":
        record_graphs(monkeypatch)
    # A graph that fails would be done without; here it fails the test.
    monkeypatch.setattr(Graphs, "or_without", lambda self, compute: compute())
    set_precision = torch.get_float32_matmul_precision()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield prepare_device(Computing(device=kind, threads=1))
    torch.set_float32_matmul_precision(set_precision)
    torch.use_deterministic_algorithms(False)  # as a finetuning on CUDA leaves them
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.fixture
def files(tmp_path):
    """Inputs of a finetuning on random weights and tokens, and where its outputs go."""
    return make_files(tmp_path)

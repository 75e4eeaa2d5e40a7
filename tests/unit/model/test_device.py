"""Where and how exactly is computed follows config.yaml."""

import os
import subprocess
import sys

import pytest
import torch

from tests.support.paths import ROOT
from workflow.lib.model.device import (
    describe,
    make_repeatable,
    peak_memory,
    prepare_device,
    trains_in_bf16,
)
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing

CPU = torch.device("cpu")


def test_a_job_takes_its_part_of_all_settings():
    computing = Computing.of({"device": "cpu", "threads": 1, "compare": {}, "recipes": {}})
    assert (computing.device, computing.threads, computing.precision) == ("cpu", 1, "auto")
    assert prepare_device(computing) == CPU
    assert describe(CPU) == "cpu, 1 threads"


def test_processes_on_one_machine_divide_its_threads():
    computing = Computing(device="cpu", threads=5)
    assert [prepare_device(computing, 1, of) for of in (2, 8)] == [CPU, CPU]
    assert describe(CPU) == "cpu, 1 threads"
    prepare_device(computing, 1, 2)
    assert describe(CPU) == "cpu, 2 threads"
    prepare_device(Computing(device="cpu", threads=1))


def test_a_small_model_takes_one_thread_unless_threads_are_set():
    small, large = 1_200_000, 163_000_000
    assert Computing().for_model_size(small).threads == 1
    assert Computing().for_model_size(large).threads is None
    assert Computing(threads=4).for_model_size(small).threads == 4
    assert not Computing(threads=1).takes_one_thread(large)
    assert not Computing(threads=1).takes_one_thread(small)  # said, so not for its size


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="gpus: 4, but this machine has 2 cuda devices; lower gpus"):
        prepare_device(Computing(threads=1), 3, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="device: cuda is not available here"):
        prepare_device(Computing(device="cuda"))


def test_on_a_cpu_bfloat16_is_only_used_when_asked_for():
    assert [trains_in_bf16(CPU, p) for p in ("auto", "fp32", "bf16")] == [False, False, True]


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_no_precision_lets_cuda_multiply_in_tf32(monkeypatch, precision):
    """It would round what is computed in float32, responses among it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.get_float32_matmul_precision()
    try:
        prepare_device(Computing(device="cuda", precision=precision, threads=1))
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)


def test_cuda_is_not_merely_warned_of_sums_in_any_order(monkeypatch):
    """With warn_only, attention's backward pass on CUDA stays as it is, another in every run."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        make_repeatable(CPU)
        assert not torch.are_deterministic_algorithms_enabled()
        make_repeatable(torch.device("cuda"))
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def test_peak_memory_is_in_bytes():
    before = peak_memory(CPU)
    block = torch.ones(2**26)  # 256 MiB
    assert before > 2**26
    assert peak_memory(CPU) >= block.nbytes


PREPARE = "from workflow.lib.runtime.environment import prepare_environment; prepare_environment()"


@pytest.mark.parametrize("prepare", [PREPARE, "import benchmarks"])
def test_waiting_threads_do_not_spin(prepare):
    """OpenMP has to be told before torch is imported."""
    code = (
        f"{prepare}; import os, sys; assert 'torch' not in sys.modules; "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout == "passive\n"


@pytest.mark.parametrize("file", ["workflow/rules/common.smk", "workflow/small_world/Snakefile"])
def test_the_jobs_of_each_workflow_inherit_the_variables(file):
    assert "\nprepare_environment()\n" in (ROOT / file).read_text("utf-8")

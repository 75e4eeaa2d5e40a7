"""Precision and memory of a device."""

import pytest
import torch

from workflow.lib.model.device import describe, peak_memory, prepare_device, trains_in_bf16
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.computing import Computing


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_float32_products_are_float32(device, precision):
    """Neither in TF32, which is for CUDA, nor in bfloat16, which torch would use on a CPU."""
    prepare_device(Computing(device=device.type, precision=precision, threads=1))
    x = torch.randn(512, 512, generator=torch.Generator().manual_seed(1)).to(device)
    error = ((x @ x).double() - x.double() @ x.double()).norm() / (x.double() @ x.double()).norm()
    assert error < 1e-5  # TF32: 3e-4


def test_bf16_is_the_default_where_the_device_computes_in_it(device):
    capable = device.type == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    assert trains_in_bf16(device, "auto") == capable
    assert trains_in_bf16(device, "bf16")
    assert not trains_in_bf16(device, "fp32")


def test_peak_memory_counts_what_was_freed(device):
    before = peak_memory(device)
    block = torch.ones(2**26, device=device)  # 256 MiB
    size = block.nbytes
    del block
    assert peak_memory(device) >= size
    assert peak_memory(device) >= before


def test_a_device_has_a_name(device):
    assert describe(device)


def test_out_of_memory_is_one_line_that_says_what_to_lower(device, tmp_path, capfd):
    with pytest.raises(SystemExit), rule_log(tmp_path / "logs/finetune/a/b.log"):
        torch.empty(2**50, dtype=torch.int8, device=device)  # a petabyte
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    line = printed.splitlines()[-1]
    assert line.startswith("error: ")
    assert "memory" in line
    assert line.endswith(
        "; lower batch_size or max_length, raise gradient_accumulation, or use a smaller model"
    )
    assert len(line) < 400

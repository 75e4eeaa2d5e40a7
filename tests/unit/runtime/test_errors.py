"""What the machine lacks is one line with the path and what to do; only the rest is a defect."""

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workflow.lib.runtime import errors
from workflow.lib.runtime.errors import one_line
from workflow.lib.runtime.files import replacing


def too_much(allocate) -> BaseException:
    """The error of asking for 4 exabytes."""
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        allocate(2**62)
    return raised.value


LESS = "; lower batch_size or max_length, raise gradient_accumulation, or use a smaller model"


@pytest.mark.parametrize(
    "allocate",
    [bytearray, lambda size: torch.empty(size, dtype=torch.int8), lambda size: np.zeros(size, "b")],
    ids=["Python", "torch", "NumPy"],
)
def test_too_little_memory_is_no_defect(allocate):
    line = one_line(too_much(allocate))
    assert line
    assert "memory" in line
    assert "\n" not in line
    assert line.endswith(LESS)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory\nCUDA kernel errors",
        "MPS backend out of memory (MPS allocated: 9 GB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried",
        "std::bad_alloc",
    ],
)
def test_too_little_memory_of_a_device_is_no_defect(message):
    assert one_line(RuntimeError(message)).endswith(LESS)


def test_of_what_cuda_says_of_its_memory_the_numbers_are_shown():
    message = (
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB "
        "of which 3.00 MiB is free. Process 7 has 60.00 GiB memory in use. Of the allocated memory "
        "18.00 GiB is allocated by PyTorch, and 10.00 MiB is reserved by PyTorch but unallocated. "
        "If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF (https://x)"
    )
    line = one_line(torch.OutOfMemoryError(message))
    assert line == message.partition(". Of the")[0] + LESS


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied: /x/y; change its permissions or its owner"),
        (errno.EROFS, "Read-only file system: /x/y; use another folder, or mount it for writing"),
        (errno.EMFILE, "Too many open files: /x/y; raise the limit of open files"),
        (errno.EDQUOT, "no space left on the disk: /x/y; free some and run again"),
        (errno.EISDIR, "/x/y is a folder where a file should be; move it away"),
        (errno.ENAMETOOLONG, "File name too long: /x/y"),
        (errno.EFBIG, "File too large: /x/y; raise the limit of a file's size"),
        (errno.EIO, "Input/output error: /x/y; the disk may be failing"),
    ],
)
def test_an_error_of_the_system_names_the_path_and_what_to_do(number, said):
    assert one_line(OSError(number, os.strerror(number), "/x/y")).startswith(said)


def test_a_file_where_a_folder_should_be_is_the_one_that_is_named(tmp_path):
    (tmp_path / "results").write_text("x")
    with pytest.raises(OSError) as raised:
        (tmp_path / "results/model/scores.csv").read_text()
    assert one_line(raised.value) == (
        f"{tmp_path}/results is a file where a folder should be; move it away"
    )


def test_a_disk_that_takes_no_more_files_is_told_from_a_full_one(monkeypatch):
    disk = SimpleNamespace(f_files=1000, f_favail=0, f_bavail=10**6, f_frsize=4096)
    monkeypatch.setattr(errors.os, "statvfs", lambda path: disk)
    error = OSError(errno.ENOSPC, "No space left on device", "results/x")
    assert one_line(error) == (
        "the disk has room but holds no more files: results/x; delete some and run again"
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),  # of a write, which names no file
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_write_that_fails_names_the_file_that_it_was_for(tmp_path, error):
    with pytest.raises(OSError) as raised, replacing(tmp_path / "model.pth"):
        raise error
    assert one_line(raised.value) == (
        f"no space left on the disk: {tmp_path}/model.pth; free some and run again"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("oh"), OSError("no number"), OSError(errno.EBADF, "Bad descriptor")]
)
def test_the_rest_is_a_defect(error):
    assert one_line(error) is None

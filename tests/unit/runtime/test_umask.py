"""What is written may be read and written by others as the umask says, whoever writes it."""

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.support.models import random_model
from workflow.lib.export.weights import write_weights
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.weights import save_model
from workflow.lib.runtime.files import link_or_copy, replacing, write_csv, write_json


@pytest.fixture(params=[0o002, 0o022, 0o077], ids=oct)
def umask(request):
    """As in a group's folder, by default, and of someone private."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def replace_by_library(path):
    with replacing(path, recorded=True) as unfinished:
        save_file({"x": np.zeros(3)}, unfinished)


def replace_by_tempfile(path):
    with replacing(path) as unfinished:
        file, name = tempfile.mkstemp(dir=path.parent)
        os.close(file)
        Path(name).replace(unfinished)


WRITERS = {
    "a library": replace_by_library,
    "tempfile": replace_by_tempfile,
    "json": lambda path: write_json(path, [], recorded=True),
    "csv": lambda path: write_csv(path, ["a"], [], recorded=True),
    "model.pth": lambda path: save_model(random_model(0, GPTConfig(20, 8, 8, 2, 1)), path),
    "exported weights": lambda path: write_weights({"x": torch.zeros(3)}, path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_files_and_folders_follow_the_umask(tmp_path, umask, write):
    write(tmp_path / "new" / "folder" / "file")
    for path in (tmp_path / "new").rglob("*"):
        assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~umask, path
    assert mode(tmp_path / "new") == 0o777 & ~umask


def test_a_link_to_a_file_of_others_does_not_change_its_permissions(tmp_path, umask):
    theirs = tmp_path / "theirs"
    theirs.write_text("x")
    theirs.chmod(0o600)
    with replacing(tmp_path / "ours") as unfinished:
        link_or_copy(theirs, unfinished)
    assert mode(theirs) == 0o600

"""A training killed at any moment ends with the bytes of one that was never interrupted."""

import errno
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.killed_training import checkpoint_of, finish, kill_after, start
from tests.support.training_case import TRAINING
from workflow.lib.model.weights import write_tensors
from workflow.lib.training import checkpoint as resume
from workflow.lib.training.arguments import Outputs

PLAIN = TRAINING.model_copy(update={"epochs": 6})
EVERYTHING = PLAIN.model_copy(
    update={"drop_rate": 0.1, "keep": "best", "decay": "cosine", "warmup_steps": 3,
            "clip_norm": 0.5, "gradient_accumulation": 3}
)  # fmt: skip


@pytest.fixture
def elsewhere(files, tmp_path):
    """The same inputs, outputs in another folder."""
    names = ("model.pth", "losses.csv", "samples.json", "training.json")
    return files[0], Outputs(*(tmp_path / "elsewhere" / name for name in names))


@pytest.mark.parametrize("training", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_killed_at_random_points_the_outputs_are_the_same_bytes(files, elsewhere, training):
    expected, _ = finish(elsewhere, training)
    points = random.Random(9)
    for checkpoints in (0, 1, 3, 4):
        kill_after(files, training, checkpoints, points.uniform(0.0005, 0.03))
        assert not files[1].model.exists()
    found, record = finish(files, training)
    assert found == expected
    assert record["steps"] == 30
    assert len(record["resumed_at"]) >= 1
    assert sorted(path.name for path in files[1].model.parent.iterdir()) == [
        ".sha256", "losses.csv", "model.pth", "samples.json", "training.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"code": "2"}, {"training": PLAIN.model_copy(update={"learning_rate": 2e-3})}]
)
def test_a_checkpoint_of_other_code_or_settings_is_ignored(files, elsewhere, change):
    kill_after(files, PLAIN, 2, 0.0005)
    other = {"training": PLAIN} | change
    found, record = finish(files, **other)
    assert record["resumed_at"] == []
    assert found == finish(elsewhere, **other)[0]


def test_a_checkpoint_of_other_inputs_is_ignored(files):
    kill_after(files, PLAIN, 2, 0.0005)
    files[0].val.write_bytes(files[0].val.read_bytes() + b"\0")
    assert finish((replace(files[0]), files[1]), PLAIN)[1]["resumed_at"] == []


def test_a_damaged_checkpoint_is_ignored(files):
    kill_after(files, PLAIN, 2, 0.0005)
    path = checkpoint_of(files)
    path.write_bytes(path.read_bytes()[:1000])
    assert finish(files, PLAIN)[1]["resumed_at"] == []


def test_without_a_number_of_steps_checkpoints_are_a_minute_apart(files, monkeypatch):
    finish(files, PLAIN, every=None)
    monkeypatch.setattr(resume, "PAUSE", 0.0)
    process = start(files, PLAIN, every=None)
    while process.is_alive() and not checkpoint_of(files).exists():
        pass
    assert process.is_alive()
    process.join()


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("at", [1, 2, 40])
def test_what_ends_writing_weights_is_not_taken_for_an_error_of_torch(
    tmp_path, monkeypatch, reason, at
):
    """Control-C or a full disk while torch writes: neither swallowed nor renamed."""

    class Failing(io.FileIO):
        written = 0

        def write(self, data):
            Failing.written += 1
            if Failing.written == at:
                raise reason
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda path, mode: Failing(path, mode))
    content = {f"weight {n}": torch.zeros(30, 16) for n in range(40)}
    with pytest.raises(type(reason)) as raised:
        write_tensors(content, tmp_path / "model.pth")
    assert raised.value is reason
    assert list(tmp_path.iterdir()) == []

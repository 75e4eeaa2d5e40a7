"""A training killed at any moment ends with the bytes of one that was never interrupted."""

import errno
import io
import json
import multiprocessing
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.training.test_train import BYTES, TRAINING, files  # noqa: F401
from workflow.lib.model.weights import write_tensors
from workflow.lib.settings.recipe import Evaluation
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training import checkpoint as resume
from workflow.lib.training.finetune import Outputs, finetune

# A new process for every run, so that it can be killed: by an alarm that nobody handles, which the
# kernel carries out as it does SIGKILL.
FORK = multiprocessing.get_context("fork")
PLAIN = TRAINING.model_copy(update={"epochs": 6})
EVERYTHING = PLAIN.model_copy(
    update={"drop_rate": 0.1, "keep": "best", "decay": "cosine", "warmup_steps": 3,
            "clip_norm": 0.5, "gradient_accumulation": 3}
)  # fmt: skip


def start(files, training, code="1", every=1, dies=None):  # noqa: F811
    inputs, outputs = files

    def body():
        torch.set_num_threads(1)
        if dies:
            die_after(*dies)
        finetune(
            inputs, outputs, BYTES, load_style("phi3"), training, Evaluation(every=2, batches=2),
            torch.device("cpu"), code=code, checkpoint_every=every,
        )  # fmt: skip

    process = FORK.Process(target=body)
    process.start()
    return process


def finish(files, training, **options):  # noqa: F811
    """Run to the end; the bytes that must not depend on what happened before, and the record."""
    process = start(files, training, **options)
    process.join()
    assert process.exitcode == 0
    outputs = files[1]
    made = [path.read_bytes() for path in (outputs.model, outputs.losses, outputs.samples)]
    return made, json.loads(outputs.training.read_text())


def die_after(checkpoints, delay):
    """Let the kernel end this process a little after so many checkpoints, whatever it then does."""
    save, written = resume.Checkpoint.save, []

    def save_and_count(self, state):
        save(self, state)
        written.append(state.steps)
        if len(written) == checkpoints:
            signal.setitimer(signal.ITIMER_REAL, delay)

    resume.Checkpoint.save = save_and_count
    if not checkpoints:
        signal.setitimer(signal.ITIMER_REAL, delay)


def kill_after(files, training, checkpoints, delay):  # noqa: F811
    """Start a run that is killed a little after it has written that many checkpoints."""
    process = start(files, training, dies=(checkpoints, delay))
    process.join()
    assert process.exitcode == -signal.SIGALRM, "it was finished before it could be killed"


def checkpoint_of(files) -> Path:  # noqa: F811
    return files[1].model.with_name("checkpoint.pt")


@pytest.fixture
def elsewhere(files, tmp_path):  # noqa: F811
    """The same inputs, outputs in another folder."""
    names = ("model.pth", "losses.csv", "samples.json", "training.json")
    return files[0], Outputs(*(tmp_path / "elsewhere" / name for name in names))


@pytest.mark.parametrize("training", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_killed_at_random_points_the_outputs_are_the_same_bytes(files, elsewhere, training):  # noqa: F811
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
        "losses.csv", "model.pth", "samples.json", "training.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"code": "2"}, {"training": PLAIN.model_copy(update={"learning_rate": 2e-3})}]
)
def test_a_checkpoint_of_other_code_or_settings_is_ignored(files, elsewhere, change):  # noqa: F811
    kill_after(files, PLAIN, 2, 0.0005)
    other = {"training": PLAIN} | change
    found, record = finish(files, **other)
    assert record["resumed_at"] == []
    assert found == finish(elsewhere, **other)[0]


def test_a_checkpoint_of_other_inputs_is_ignored(files):  # noqa: F811
    kill_after(files, PLAIN, 2, 0.0005)
    files[0].val.write_bytes(files[0].val.read_bytes() + b"\0")
    assert finish((replace(files[0]), files[1]), PLAIN)[1]["resumed_at"] == []


def test_a_damaged_checkpoint_is_ignored(files):  # noqa: F811
    kill_after(files, PLAIN, 2, 0.0005)
    path = checkpoint_of(files)
    path.write_bytes(path.read_bytes()[:1000])
    assert finish(files, PLAIN)[1]["resumed_at"] == []


def test_without_a_number_of_steps_checkpoints_are_a_minute_apart(files, monkeypatch):  # noqa: F811
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

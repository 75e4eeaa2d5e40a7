"""A training killed at any moment ends with the bytes of one that was never interrupted."""

import errno
import io
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.damage import flipped
from tests.support.killed_training import (
    checkpoint_of,
    finish,
    interrupt_after,
    kill_after,
    start,
)
from tests.support.training_case import CONFIG, CPU, TRAINING, make_files, recipe_of
from workflow.lib.model.weights import load_base_model, write_tensors
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation
from workflow.lib.training import checkpoint as resume
from workflow.lib.training import interruption as interruption_module
from workflow.lib.training.arguments import Compute, FinetuneFiles, Outputs
from workflow.lib.training.data import load_data
from workflow.lib.training.finetune import prepare_model
from workflow.lib.training.interruption import Interruption
from workflow.lib.training.progress import Progress
from workflow.lib.training.run import start_or_resume

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


def changed(path, change):
    """Change the content of a checkpoint and write it as a whole file."""
    content = torch.load(path, weights_only=True)
    write_tensors(change(content), path)


def without(key):
    return lambda content: {k: v for k, v in content.items() if k != key}


def altered(key, value):
    return lambda content: content | {key: value}


def other_shape(content):
    name = next(iter(content["model"]))
    return content | {"model": content["model"] | {name: torch.zeros(3)}}


def other_type(content):
    return content | {"model": {n: w.double() for n, w in content["model"].items()}}


def fewer_moments(content):
    del content["optimizer"]["state"][0]
    return content


def odd_moments(content):
    content["optimizer"]["state"][1]["exp_avg"] = torch.zeros(1)
    return content


ODD = {
    "a list": lambda content: [1, 2],
    "nothing": lambda content: None,
    "a key alone": lambda content: {"key": content["key"]},
    **{
        f"without {key}": without(key)
        for key in ("key", "model", "optimizer", "random", "losses", "step", "best_weights")
    },
    **{
        f"another {key}": altered(key, value)
        for key, value in [
            ("model", {}), ("model", []), ("optimizer", {}), ("optimizer", 3), ("random", {}),
            ("random", {"cpu": torch.zeros(3)}), ("losses", 7), ("losses", [{"step": 1}]),
            ("step", "two"), ("step", None), ("seconds", float("nan")), ("more", 1),
            ("initial_losses", [1.0]), ("best_weights", {"x": torch.zeros(1)}), ("samples", {}),
            ("epoch_random_state", 5), ("resumed_at", "3"),
        ]
    },
    "a weight of another shape": other_shape,
    "weights of another type": other_type,
    "fewer moments": fewer_moments,
    "moments of another shape": odd_moments,
}  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A training that was killed after two checkpoints."""
    files = make_files(tmp_path_factory.mktemp("killed"))
    kill_after(files, PLAIN, 2, 0.0005)
    return files


def begun_anew(files, caplog):
    """Check that a training begins anew, with a line that says why."""
    caplog.set_level("INFO", "pipeline")
    prepared = prepare_model(files[0].weights, PLAIN, Compute(CPU))
    data = load_data(files[0], recipe_of(PLAIN), CONFIG)
    recipe = recipe_of(PLAIN, Evaluation(every=2, batches=2))
    settings = Computing(checkpoint_every=1)
    compute = Compute(CPU, settings=settings, code="1")
    run = start_or_resume(FinetuneFiles(*files), recipe, compute, prepared, data)
    assert run.progress == Progress(initial_losses=run.progress.initial_losses,
                                    samples=run.progress.samples)  # fmt: skip
    base = load_base_model(files[0].weights).state_dict()
    for name, weight in run.engine.model.state_dict().items():
        assert torch.equal(weight, base[name])
    assert not run.optimizer.state_dict()["state"]
    [line] = [line for line in caplog.messages if "starting again" in line]
    assert line.startswith(str(checkpoint_of(files)))
    assert "\n" not in line


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_a_readable_but_odd_checkpoint_is_not_used(killed, caplog, change):
    path = checkpoint_of(killed)
    content = path.read_bytes()
    try:
        changed(path, change)
        begun_anew(killed, caplog)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("at", [0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_a_checkpoint_with_a_flipped_bit_is_not_used(killed, caplog, at):
    path = checkpoint_of(killed)
    content = path.read_bytes()
    try:
        path.write_bytes(flipped(content, at, 6))
        begun_anew(killed, caplog)
    finally:
        path.write_bytes(content)


def test_after_a_flipped_bit_the_outputs_are_the_same_bytes(files, elsewhere):
    expected, _ = finish(elsewhere, PLAIN)
    kill_after(files, PLAIN, 2, 0.0005)
    path = checkpoint_of(files)
    path.write_bytes(flipped(path.read_bytes(), 0.5, 6))
    found, record = finish(files, PLAIN)
    assert found == expected
    assert record["resumed_at"] == []


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGINT],
     [signal.SIGTERM] * 3],
    ids=["Ctrl-C", "SIGTERM", "both", "thrice"],
)  # fmt: skip
def test_a_signal_writes_a_checkpoint_and_ends_the_training(files, elsewhere, signals):
    """No checkpoint would be due for a minute."""
    expected, _ = finish(elsewhere, EVERYTHING)
    code, said = interrupt_after(files, EVERYTHING, signals, steps=3)
    assert code == 130
    assert "Interrupted; finishing this step" in said
    assert "Checkpoint written; the same command goes on at step 3" in said
    assert not files[1].model.exists()
    found, record = finish(files, EVERYTHING)
    assert record["resumed_at"] == [3]
    assert found == expected


def test_a_second_ctrl_c_ends_the_training_at_once(monkeypatch):
    monkeypatch.setattr(interruption_module, "PATIENCE", 0.0)
    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruption.awaited("ending"):
        assert not interruption.asked
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


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

"""A finetuning on a device: the chapter's numbers, the same bytes every time, its files."""

from dataclasses import replace

import pytest
import torch

from tests.support.killed_training import checkpoint_of, finish, kill_after, start
from tests.support.oracle import finetune_textbook
from tests.support.training_case import TRAINING, random_split, run
from workflow.lib.model.device import describe, peak_memory, trains_in_bf16
from workflow.lib.model.weights import load_base_model, load_trained_model
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Lora
from workflow.lib.training.arguments import Compute, FinetuneFiles, Outputs

LORA = TRAINING.model_copy(update={"lora": Lora(rank=4, alpha=8), "learning_rate": 1e-2})
EVERYTHING = TRAINING.model_copy(
    update={"epochs": 6, "drop_rate": 0.1, "keep": "best", "decay": "cosine", "warmup_steps": 3,
            "clip_norm": 0.5, "gradient_accumulation": 3}
)  # fmt: skip

GRAPHS = EVERYTHING.model_copy(update={"drop_rate": 0.0})  # with dropout there are none


def computed_on(device, precision="fp32"):
    """How a finetuning computes: on the device, which is prepared already."""
    return Compute(device, settings=Computing(device=device.type, precision=precision))


def written(files):
    """The bytes of weights, losses and samples."""
    outputs = files[1]
    return [path.read_bytes() for path in (outputs.model, outputs.losses, outputs.samples)]


def elsewhere(files, folder):
    """The same inputs, outputs in another folder."""
    paths = vars(files[1]).items()
    return FinetuneFiles(files[0], Outputs(**{n: p and folder / p.name for n, p in paths}))


def test_losses_and_weights_are_the_textbooks(device, files):
    rows, record = run(files, compute=computed_on(device))
    model = load_base_model(files[0].weights)
    train, val = random_split(43, 2).sequences, random_split(11, 3).sequences
    trace = finetune_textbook(model, train, val, 256, learning_rate=1e-3, max_length=50)
    assert tuple(record["initial_losses"].values()) == pytest.approx(trace.initial, abs=1e-5)
    for row, (step, epoch, tokens_seen, *losses) in zip(rows, trace.evaluations, strict=True):
        assert (row["step"], row["epoch"], row["tokens_seen"]) == (step, epoch, tokens_seen)
        assert [row["train_loss"], row["val_loss"]] == pytest.approx(losses, abs=1e-4)
    state = load_trained_model(files[1].model, files[1].training).state_dict()
    for name, parameter in model.named_parameters():
        if not name.endswith("W_key.bias"):  # its true gradient is zero: AdamW steps by rounding
            torch.testing.assert_close(state[name], parameter.data, atol=1e-4, rtol=1e-3, msg=name)


def test_bf16_is_near_float32(device, files):
    exact, _ = run(files, compute=computed_on(device))
    near, record = run(files, compute=computed_on(device, "bf16"))
    assert record["precision"] == "bf16"
    for row, other in zip(exact, near, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], abs=0.05)
    assert exact != near


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "training", [TRAINING, LORA, EVERYTHING, GRAPHS], ids=["plain", "LoRA", "all", "graphs"]
)
def test_two_runs_are_the_same_bytes(device, files, training, precision):
    compute = computed_on(device, precision)
    run(files, training, compute=compute)
    first = written(files)
    run(files, training, compute=compute)
    assert written(files) == first


@pytest.mark.parametrize("training", [EVERYTHING, LORA, GRAPHS], ids=["all", "LoRA", "graphs"])
def test_killed_it_ends_with_the_same_bytes(device, files, tmp_path, training):
    training = training.model_copy(update={"epochs": 6})
    expected, _ = finish(elsewhere(files, tmp_path / "whole"), training, device=device)
    kill_after(files, training, 3, 0.0005, device=device)
    assert checkpoint_of(files).exists()
    found, record = finish(files, training, device=device)
    assert found == expected
    assert len(record["resumed_at"]) == 1


def test_two_at_once_are_as_one_alone(device, files, tmp_path):
    expected, _ = finish(elsewhere(files, tmp_path / "alone"), TRAINING, device=device)
    pair = [elsewhere(files, tmp_path / name) for name in ("one", "other")]
    processes = [start(each, TRAINING, device=device) for each in pair]
    for process, each in zip(processes, pair, strict=True):
        process.join()
        assert process.exitcode == 0
        assert written(each) == expected


def test_what_it_writes_can_be_read_without_the_device(device, files):
    outputs = replace(files[1], adapter=files[1].model.with_name("adapter.safetensors"))
    run(FinetuneFiles(files[0], outputs), LORA, compute=computed_on(device))
    state = torch.load(outputs.model, weights_only=True)  # as the chapter does
    assert {weight.device.type for weight in state.values()} == {"cpu"}


def test_the_record_names_device_precision_and_peak_memory(device, files):
    before = peak_memory(device)
    _, record = run(files, compute=computed_on(device, "auto"))
    assert record["device"] == describe(device)
    assert record["precision"] == ("bf16" if trains_in_bf16(device, "auto") else "fp32")
    assert before <= record["peak_memory_bytes"] <= peak_memory(device)
    # Weights, gradients and two moments, in float32.
    assert record["peak_memory_bytes"] >= 16 * record["parameters"]

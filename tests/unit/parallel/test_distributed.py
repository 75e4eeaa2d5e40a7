"""Several processes compute what one does: losses, gradients, weights, checkpoints, responses."""

import csv
import json
import os
import shutil
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from tests.support.models import random_model
from tests.support.processes import together
from tests.support.training_case import (
    BYTES,
    CONFIG,
    CPU,
    TRAINING,
    make_files,
    random_split,
    recipe_of,
    update,
)
from workflow.lib.fast import cpu_kernels, head
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.fast.head import FastHead
from workflow.lib.fast.products import onednn_works
from workflow.lib.generation.responses import write_responses
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.parallel.distributed import DistributedEngine, is_too_large, shard_batch
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.world import World
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Generation, Lora, Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training import run as run_module
from workflow.lib.training.arguments import Compute, FinetuneFiles, Outputs
from workflow.lib.training.checkpoint import Checkpoint
from workflow.lib.training.finetune import finetune
from workflow.lib.training.optimizer import make_optimizer
from workflow.lib.training.progress import Progress
from workflow.lib.training.train import Loaders, evaluate

pytestmark = pytest.mark.slow

NAMES = ("model.pth", "losses.csv", "samples.json", "training.json")
EVERYTHING = {
    "gradient_accumulation": 3, "clip_norm": 0.5, "decay": "cosine", "warmup_steps": 3,
    "keep": "best",
}  # fmt: skip
# Settings, sharding. A batch of 3 leaves one of 4 processes without a sequence in every step, the
# last batch of validation, 3 of 11 entries, does so in every evaluation.
CASES = {
    "plain": ({}, "none"),
    "small batches": ({"batch_size": 3}, "none"),
    "everything": (EVERYTHING, "none"),
    "masked": ({"mask_prompt": True, "gradient_accumulation": 2}, "none"),
    "dropout": ({"drop_rate": 0.2}, "none"),
    "lora": ({"lora": Lora(rank=4, alpha=8), "keep": "best", "clip_norm": 0.5}, "none"),
    "sharded": ({"batch_size": 3}, "full"),
    "sharded, everything": (EVERYTHING, "full"),
    "sharded, lora": ({"lora": Lora(rank=4, alpha=8)}, "full"),
}


def outputs_in(folder) -> Outputs:
    return Outputs(*(folder / name for name in NAMES), folder / "adapter.safetensors")


def train(files, case, folder, world, every=None):
    settings, sharding = CASES[case]
    finetune(
        FinetuneFiles(files[0], outputs_in(folder)),
        recipe_of(TRAINING.model_copy(update=settings), Evaluation(every=3, batches=2)),
        Compute(CPU, world, Computing(checkpoint_every=every), sharding),
    )


def read(folder):
    """Evaluations, weights and record of a finished training."""
    with (folder / "losses.csv").open() as file:
        rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]
    record = json.loads((folder / "training.json").read_text())
    return rows, torch.load(folder / "model.pth", weights_only=True), record


def assert_same_training(found, expected):
    rows, weights, record = read(found)
    expected_rows, expected_weights, expected_record = read(expected)
    assert len(rows) == len(expected_rows) > 3
    for row, other in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(other, abs=1e-4)
    assert record["initial_losses"] == pytest.approx(expected_record["initial_losses"], abs=1e-5)
    for name in ("steps", "kept_step", "tokens_seen", "parameters", "trainable_parameters",
                 "training", "inputs"):  # fmt: skip
        assert record[name] == expected_record[name], name
    for name, weight in weights.items():
        if not name.endswith("W_key.bias"):  # its true gradient is zero: AdamW steps by rounding
            torch.testing.assert_close(weight, expected_weights[name], atol=1e-4, rtol=1e-3)
    assert (found / "samples.json").read_bytes() == (expected / "samples.json").read_bytes()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True, scope="module")
def short_samples():
    """Fifty tokens take long if all processes must meet for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "SAMPLE_TOKENS", 5)
        yield


@pytest.fixture(scope="module")
def trainings(inputs, tmp_path_factory):
    """The folder of every case's results, by number of processes."""
    folder = tmp_path_factory.mktemp("trainings")
    for size in (1, 2, 4):
        together(size, lambda world: [
            train(inputs, case, folder / str(world.world_size) / case, world) for case in CASES
        ])  # fmt: skip
    return folder


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("case", [case for case in CASES if case != "dropout"])
def test_the_trace_and_the_weights_are_those_of_one_process(trainings, size, case):
    found = trainings / str(size) / case
    assert_same_training(found, trainings / "1" / case)
    names = {path.name for path in found.iterdir()} - {"adapter.safetensors", ".sha256"}
    assert names == set(NAMES)
    record = read(found)[2]
    assert (record["processes"], record["sharded"]) == (size, case.startswith("sharded"))


@pytest.mark.parametrize("size", [2, 4])
def test_with_dropout_the_batches_are_those_of_one_process(trainings, size):
    """What is dropped out differs, but not the order of the batches.

    Both come from the same generator; tokens seen count the padding of every batch.
    """
    rows, _, record = read(trainings / str(size) / "dropout")
    expected, _, expected_record = read(trainings / "1" / "dropout")
    seen = [row["tokens_seen"] for row in rows]
    assert seen == [row["tokens_seen"] for row in expected]
    assert record["initial_losses"] == pytest.approx(expected_record["initial_losses"], abs=1e-5)
    assert rows[-1]["val_loss"] != pytest.approx(expected[-1]["val_loss"], abs=1e-5)
    assert rows[-1]["val_loss"] == pytest.approx(expected[-1]["val_loss"], abs=0.2)


def engine_of(model: GPTModel, world: World, sharding: str = "none", **options) -> Engine:
    """Return the engine of one process or of several."""
    if world.world_size == 1:
        return Engine(model, **options)
    return DistributedEngine(model, world, CPU, sharding, **options)


def gradients(world: World, sharding: str, micro_batches: int):
    """Return losses, gradients and weights after a clipped step, all in double precision.

    There nothing can hide behind rounding. Of the batch's 5 sequences the last two are masked
    entirely.
    """
    model = random_model(1, CONFIG).double()
    model.pos_emb.requires_grad_(False)  # not all weights need train
    engine = engine_of(model, world, sharding, micro_batches=micro_batches)
    sequences = random_split(5, 8).sequences
    inputs, targets = collate(sequences, 256, 50)
    targets[3:] = IGNORE_INDEX
    losses = evaluate(engine, Loaders([(inputs, targets)], [(inputs[:1], targets[:1])]), 5)
    engine.backward(inputs, targets)
    found = engine.full_state(
        {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    )
    training = Training(clip_norm=1e-3, learning_rate=1e-2)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    update(model, optimizer, training, 0, 1)
    weights = {n: w.clone() for n, w in engine.full_state(model.state_dict()).items()}
    return losses, found, weights


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_gradients_add_up_to_those_of_the_batch(micro_batches):
    """Also of processes whose share is masked, or that have none; and clipped as one."""
    [(losses, expected, weights)] = together(
        1, partial(gradients, sharding="none", micro_batches=micro_batches)
    )
    for size, sharding in ((2, "none"), (4, "none"), (4, "full")):
        results = together(size, partial(gradients, sharding=sharding, micro_batches=micro_batches))
        for found in results:
            assert found[0] == pytest.approx(losses, rel=1e-12)
            assert found[0] == results[0][0]  # to the last bit
        torch.testing.assert_close(results[0][1], expected, atol=1e-13, rtol=1e-10)
        torch.testing.assert_close(results[0][2], weights, atol=1e-9, rtol=1e-7)
        assert all(not found[1] for found in results[1:])  # the leader alone has full ones


def gradients_of_layers(world: World, sharding: str, fast: bool):
    """Return losses and gradients of a batch in single precision."""
    model = random_model(1, CONFIG)
    if fast:
        speed_up(model, CPU)
    assert isinstance(model.out_head, FastHead) == fast
    engine = engine_of(model, world, sharding)
    batch = collate(random_split(5, 8).sequences, 256, 50)
    losses = evaluate(engine, Loaders([batch], [batch]), 1)
    engine.backward(*batch)
    return losses, engine.full_state({n: p.grad.clone() for n, p in model.named_parameters()})


@pytest.mark.skipif(not onednn_works(), reason="oneDNN is for x86")
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_faster_layers_compute_the_same_in_several_processes(monkeypatch, sharding):
    monkeypatch.setattr(cpu_kernels, "ONEDNN_WEIGHTS", 0)
    monkeypatch.setattr(cpu_kernels, "RECYCLED_WEIGHTS", 0)
    monkeypatch.setattr(head, "PART", 100)
    [(losses, expected)] = together(1, partial(gradients_of_layers, sharding="none", fast=False))
    results = together(2, partial(gradients_of_layers, sharding=sharding, fast=True))
    assert results[0][0] == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(results[0][1], expected, atol=1e-6, rtol=1e-4)


def killed_after(steps: int):
    """From now on this process ends right after so many checkpoints."""
    save = Checkpoint.save_if_due

    def save_and_die(self, progress):
        save(self, progress)
        if progress.step == steps:
            if self.engine.world.world_size > 1:
                torch.distributed.barrier()  # process 0 has written
            os._exit(9)

    Checkpoint.save_if_due = save_and_die


@pytest.mark.parametrize("case", ["everything", "sharded, everything", "lora", "dropout"])
def test_a_killed_training_goes_on_with_more_or_fewer_processes(inputs, trainings, tmp_path, case):
    def dies(world):
        killed_after(7)
        train(inputs, case, tmp_path / "killed", world, every=1)

    together(2, dies, exitcode=9)
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert left == {"checkpoint.pt", "checkpoint.pt.lock"}
    for size in (1, 4):
        folder = tmp_path / str(size)
        shutil.copytree(tmp_path / "killed", folder)
        together(size, lambda world, folder=folder: train(inputs, case, folder, world, every=1))
        assert read(folder)[2]["resumed_at"] == [7]
        assert not (folder / "checkpoint.pt").exists()
        if case != "dropout":
            assert_same_training(folder, trainings / "1" / case)
        else:
            seen = [
                [row["tokens_seen"] for row in read(f)[0]] for f in (folder, trainings / "1" / case)
            ]
            assert seen[0] == seen[1]


def test_the_checkpoint_of_several_processes_is_that_of_one(inputs, tmp_path):
    """Spread weights or not: the same names, shapes and kinds of content."""
    contents = {}
    for name, size, case in (
        ("one", 1, "small batches"),
        ("two", 2, "small batches"),
        ("spread", 2, "sharded"),
    ):

        def dies(world, name=name, case=case):
            killed_after(1)
            train(inputs, case, tmp_path / name, world, every=1)

        together(size, dies, exitcode=9)
        content = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        contents[name] = {
            "key": content["key"],
            "model": {n: (type(w), w.shape) for n, w in content["model"].items()},
            "means": {
                n: {k: (type(v), v.shape) for k, v in s.items()}
                for n, s in content["optimizer"]["state"].items()
            },
        }  # fmt: skip
    assert contents["one"] == contents["two"] == contents["spread"]


SETTINGS = {
    "greedy": Generation(max_new_tokens=12),
    "drawn": Generation(max_new_tokens=12, temperature=1.5, top_k=50, seed=4),
}


def test_responses_are_the_same_bytes(tmp_path):
    """With as many processes as may be, more than there are entries too."""
    entries = [{"instruction": "Say " + "x" * n, "input": "", "output": "ja"} for n in (9, 1, 30)]
    for count in (1, 3, 3 * 4):
        many = [{**entry, "kind": str(n)} for n in range(count // 3 or 1) for entry in entries]
        (tmp_path / f"{count}.json").write_text(json.dumps(many[:count]))

    def answer(world):
        for name, settings in SETTINGS.items():
            for count in (1, 3, 12):
                write_responses(
                    random_model(1, CONFIG), tmp_path / f"{count}.json", BYTES, load_style("phi3"),
                    settings, tmp_path / f"{name}-{count}-{world.world_size}.json", world,
                )  # fmt: skip

    for size in (1, 2, 4):
        together(size, answer)
    for name in SETTINGS:
        for count in (1, 3, 12):
            one, two, four = (
                (tmp_path / f"{name}-{count}-{size}.json").read_bytes() for size in (1, 2, 4)
            )
            assert one == two == four
    assert (tmp_path / "drawn-12-1.json").read_bytes() != (
        tmp_path / "greedy-12-1.json"
    ).read_bytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_sequence_that_counts_falls_to_one_process(size):
    inputs, targets = collate(random_split(5, 3).sequences, 256, 50)
    targets[1] = IGNORE_INDEX
    inputs[:, 0] = torch.arange(5)
    shares = [shard_batch(inputs, targets, World(rank, size)) for rank in range(size)]
    counted = [int(n) for rows, _, counts in shares if counts for n in rows[:, 0]]
    assert sorted(counted) == [0, 2, 3, 4]
    assert all((own != IGNORE_INDEX).any() for _, own, _ in shares)
    tokens = [int((own != IGNORE_INDEX).sum()) for _, own, counts in shares if counts]
    assert max(tokens) - min(tokens) < 50  # no process has two long ones more than another


def test_a_user_error_in_every_process_is_raised_in_every_process(inputs):
    def fails(world):
        try:
            recipe = recipe_of(TRAINING.model_copy(update={"learning_rate": 1e30}))
            finetune(inputs, recipe, Compute(CPU, world))
        except UserError as error:
            return str(error)

    said = together(2, fails)
    assert said[0] == said[1]
    assert "lower training.learning_rate" in said[0]


def test_the_optimizer_of_spread_weights_is_spread_too():
    def sizes(world):
        model = random_model(1, CONFIG)
        engine = engine_of(model, world, "full")
        optimizer = make_optimizer(model, TRAINING)
        inputs, targets = collate(random_split(4, 3).sequences, 256, 50)
        engine.backward(inputs, targets)
        optimizer.step()
        held = [*model.parameters(), *(s["exp_avg"] for s in optimizer.state.values())]
        return sum(tensor.to_local().numel() for tensor in held)

    whole = 2 * sum(weight.numel() for weight in random_model(1, CONFIG).parameters())
    found = together(2, sizes)
    assert sum(found) == whole
    assert max(found) < 0.6 * whole


@pytest.mark.parametrize(("gigabytes", "sharded"), [(16, True), (40, True), (80, False)])
def test_gpt2_xl_is_too_large_for_some_gpus(monkeypatch, gigabytes, sharded):
    memory = SimpleNamespace(total_memory=gigabytes * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    with torch.device("meta"):
        model = GPTModel(GPTConfig(50257, 1024, emb_dim=1600, n_heads=25, n_layers=48))
    assert is_too_large(model, torch.device("cuda", 0)) == sharded
    assert not is_too_large(model, CPU)
    assert not is_too_large(model.requires_grad_(False), torch.device("cuda", 0))


@pytest.mark.parametrize("case", ["plain", "sharded"])
def test_a_signal_to_one_process_ends_all_after_the_same_step(inputs, tmp_path, case):
    """The checkpoint is whole, and one process goes on from it."""

    def signaled(world):
        count_step = Progress.count_step

        def count(self):
            count_step(self)
            if self.step == 3 and world.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        Progress.count_step = count
        with pytest.raises(KeyboardInterrupt):
            train(inputs, case, tmp_path / "one", world)
        return True

    assert together(2, signaled) == [True, True]
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["checkpoint.pt"]
    together(1, lambda world: train(inputs, case, tmp_path / "one", world))
    assert read(tmp_path / "one")[2]["resumed_at"] == [3]

"""Each of the calls that a finetuning consists of, alone."""

import json
from dataclasses import replace

import pytest
import torch

from tests.support.models import random_model
from tests.support.recorded_graphs import record_graphs
from tests.support.training_case import (
    BYTES,
    CONFIG,
    CPU,
    EVALUATION,
    TRAINING,
    random_split,
    recipe_of,
    run,
)
from workflow.lib.fast import cpu_kernels
from workflow.lib.fast.cpu_kernels import FastEmbedding, FastLinear
from workflow.lib.model.lora import LoraLinear
from workflow.lib.model.weights import load_base_model, load_trained_model
from workflow.lib.parallel import engine as engine_module
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Lora
from workflow.lib.tokens.dataloader import make_dataloader
from workflow.lib.training.arguments import Compute, FinetuneFiles
from workflow.lib.training.data import load_data
from workflow.lib.training.finetune import FinetuneJob, finetune, prepare_model
from workflow.lib.training.optimizer import make_optimizer
from workflow.lib.training.progress import Progress
from workflow.lib.training.run import start_or_resume, write_outputs
from workflow.lib.training.train import Hooks, Loaders, evaluate, train

RECIPE = recipe_of()


def prepared(files, recipe=RECIPE):
    """The first three calls."""
    compute = Compute(CPU, settings=Computing(checkpoint_every=1))
    engine = prepare_model(files.inputs.weights, recipe.training, compute)
    data = load_data(files.inputs, recipe, engine.model.config)
    return compute, engine, data, start_or_resume(files, recipe, compute, engine, data)


def test_load_data_cuts_masks_and_batches(files):
    training = TRAINING.model_copy(update={"mask_prompt": True, "max_length": 9})
    split = random_split(43, 2)
    data = load_data(files.inputs, recipe_of(training), CONFIG)
    assert data.too_long["train"] == [n for n, s in enumerate(split.sequences) if len(s) > 9]
    assert data.unanswered["train"] == [n for n, s in enumerate(split.response_starts) if s > 9]
    assert data.sample == {"instruction": "Say hi.", "input": "", "output": "hi"}
    kept = 43 - len(data.unanswered["train"])
    assert len(data.loaders.train) == kept // 8
    assert all(inputs.shape[1] <= 9 for inputs, _ in data.loaders.val)


@pytest.mark.parametrize("fast", [True, False])
def test_prepare_model_puts_adapters_and_faster_layers_onto_it(files, monkeypatch, fast):
    monkeypatch.setattr(cpu_kernels, "ONEDNN_WEIGHTS", 0)
    monkeypatch.setattr(cpu_kernels, "RECYCLED_WEIGHTS", 0)
    training = TRAINING.model_copy(update={"lora": Lora(rank=2), "gradient_accumulation": 3})
    compute = Compute(CPU, settings=Computing(fast=fast, precision="bf16"))
    engine = prepare_model(files.inputs.weights, training, compute)
    assert (engine.packed, engine.micro_batches, engine.bf16) == (fast, 3, True)
    parts = list(engine.model.modules())
    assert sum(isinstance(part, LoraLinear) for part in parts) == 13
    assert sum(isinstance(part, FastEmbedding) for part in parts) == (2 if fast else 0)
    if not fast:
        assert not any(isinstance(part, FastLinear) for part in parts)


@pytest.mark.parametrize(
    ("fast", "drop_rate", "kind"),
    [(True, 0.0, GraphEngine), (False, 0.0, Engine), (True, 0.1, Engine)],
)
def test_graphs_are_for_packed_batches_on_a_device_that_has_them(
    files, monkeypatch, fast, drop_rate, kind
):
    training = TRAINING.model_copy(update={"drop_rate": drop_rate})
    compute = Compute(CPU, settings=Computing(fast=fast))
    assert type(prepare_model(files.inputs.weights, training, compute)) is Engine
    record_graphs(monkeypatch)
    assert type(prepare_model(files.inputs.weights, training, compute)) is kind


def test_start_or_resume_measures_the_initial_losses_and_writes_a_sample(files):
    _, engine, data, begun = prepared(files)
    losses = begun.progress.initial_losses
    torch.manual_seed(TRAINING.seed)
    assert evaluate(engine, data.loaders, EVALUATION.batches) == losses
    assert [sample["epoch"] for sample in begun.progress.samples] == [0]
    assert begun.progress.step == 0


def test_start_or_resume_goes_on_where_a_checkpoint_is(files):
    _, engine, data, begun = prepared(files)
    inputs, targets = next(begun.progress.batches(data.loaders.train))
    engine.backward(inputs, targets)
    begun.optimizer.step()
    begun.progress.step = begun.progress.batches_done = 1
    begun.after_step(begun.progress)
    _, again, _, resumed = prepared(files)
    assert resumed.progress.resumed_at == [1]
    assert resumed.progress.initial_losses == begun.progress.initial_losses
    for one, other in zip(engine.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(
        begun.optimizer.state_dict()["state"].values(),
        resumed.optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        assert torch.equal(one["exp_avg"], other["exp_avg"])


class Recorded(Hooks):
    """Notes what the loop calls, and after how many steps."""

    def __init__(self):
        self.calls = []

    def after_evaluation(self, progress):
        self.calls.append(("evaluation", progress.step))

    def after_step(self, progress):
        self.calls.append(("step", progress.step))

    def after_epoch(self, progress):
        self.calls.append(("epoch", progress.epoch))


def test_train_calls_its_hooks_in_the_order_of_the_chapter():
    model = random_model(1, CONFIG)
    split = random_split(20, 4)
    loaders = Loaders(
        make_dataloader(split, 256, TRAINING, 50, shuffle=True),
        make_dataloader(split, 256, TRAINING, 50, shuffle=False),
    )
    progress, hooks = Progress(), Recorded()
    evaluation = EVALUATION.model_copy(update={"every": 3})
    train(
        Engine(model), make_optimizer(model, TRAINING), loaders, TRAINING, evaluation, progress,
        hooks,
    )  # fmt: skip
    assert hooks.calls == [
        ("evaluation", 0), ("step", 1), ("step", 2), ("epoch", 1),
        ("step", 3), ("evaluation", 3), ("step", 4), ("epoch", 2),
    ]  # fmt: skip
    assert [losses.step for losses in progress.losses] == [0, 3]


def test_write_outputs_stores_the_best_weights_if_they_were_kept(files):
    recipe = recipe_of(TRAINING.model_copy(update={"keep": "best"}))
    compute, engine, _, begun = prepared(files, recipe)
    begun.progress.add_losses(1.0, 2.0)
    begun.after_evaluation(begun.progress)
    with torch.no_grad():
        engine.model.final_norm.shift += 1
    begun.progress.step, begun.progress.seconds = 4, 2.0
    begun.progress.add_losses(0.5, 3.0)
    begun.after_evaluation(begun.progress)
    write_outputs(files, compute, begun)
    stored = load_trained_model(files.outputs.model, files.outputs.training)
    base = load_base_model(files.inputs.weights)
    assert torch.equal(stored.final_norm.shift, base.final_norm.shift)
    record = json.loads(files.outputs.training.read_text())
    assert (record["steps"], record["kept_step"], record["processes"]) == (4, 0, 1)
    assert len(files.outputs.losses.read_text().splitlines()) == 3
    assert not begun.checkpoint.path.exists()


def test_the_earlier_best_weights_are_freed_before_others_are_copied(files, monkeypatch):
    recipe = recipe_of(TRAINING.model_copy(update={"keep": "best"}))
    _, engine, _, begun = prepared(files, recipe)
    progress, held = begun.progress, []

    def full_state(tensors):
        held.append(progress.best_weights)
        return tensors

    monkeypatch.setattr(engine, "full_state", full_state)
    for val_loss in (2.0, 1.0):
        progress.add_losses(1.0, val_loss)
        begun.after_evaluation(progress)
        assert progress.best_weights
    assert held == [None, None]


def test_without_what_is_fast_the_losses_are_the_same_up_to_rounding(files, monkeypatch):
    fast, _ = run(files)
    weights = torch.load(files.outputs.model, weights_only=True)
    monkeypatch.setattr(engine_module, "packed_losses", lambda *_: pytest.fail("packed"))
    finetune(files, RECIPE, Compute(CPU, settings=Computing(fast=False)))
    slow = torch.load(files.outputs.model, weights_only=True)
    rows = files.outputs.losses.read_text().splitlines()[1:]
    for row, line in zip(fast, rows, strict=True):
        assert row["val_loss"] == pytest.approx(float(line.split(",")[4]), abs=1e-4)
    for name, weight in weights.items():
        if not name.endswith("W_key.bias"):  # its true gradient is zero: AdamW steps by rounding
            torch.testing.assert_close(slow[name], weight, atol=1e-4, rtol=1e-3)


def test_a_job_is_the_same_after_a_journey_as_json(files, tmp_path):
    """As it is handed to the processes on other machines."""
    training = TRAINING.model_copy(update={"lora": Lora(rank=2), "clip_norm": 1.0})
    job = FinetuneJob(
        inputs=files.inputs,
        outputs=replace(files.outputs, adapter=tmp_path / "adapter.safetensors"),
        tokenizer=tmp_path / "tokenizer",
        style=RECIPE.style,
        training=training,
        evaluation=EVALUATION,
        computing=Computing(precision="bf16", threads=2),
        sharding="auto",
        code="abc",
    )
    content = json.loads(json.dumps(job.model_dump(mode="json")))
    assert FinetuneJob.model_validate(content) == job
    assert isinstance(FinetuneFiles(job.inputs, job.outputs).inputs.weights, type(tmp_path))
    assert BYTES.n_vocab == CONFIG.vocab_size

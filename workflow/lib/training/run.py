"""A finetuning in progress, new or resumed, and what it writes on the way and at the end."""

import math
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW

from workflow.lib.data.entries import Entry
from workflow.lib.fast.cpu_kernels import recycle_gradients
from workflow.lib.generation.generate import generate
from workflow.lib.model.device import describe, peak_memory
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.lora import add_adapters, merge_adapters, save_adapters
from workflow.lib.model.weights import (
    load_base_model,
    load_trainable,
    not_finite,
    save_model,
    trainable_state,
)
from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.event_files import EventFiles
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.runtime.lock import check_not_lost
from workflow.lib.runtime.log import log
from workflow.lib.training.arguments import Compute, FinetuneFiles, FinetuneRecipe
from workflow.lib.training.checkpoint import Checkpoint
from workflow.lib.training.data import FinetuneData
from workflow.lib.training.optimizer import make_optimizer
from workflow.lib.training.progress import Losses, Progress
from workflow.lib.training.train import Hooks, evaluate

SAMPLE_TOKENS = 50  # length of the samples written during training, as in chapter 5


@dataclass(frozen=True)
class Run(Hooks):
    """A finetuning in progress.

    Args:
        engine: of the model.
        optimizer: of its weights; None without epochs.
        recipe: what is learned.
        data: batches of both splits and the sample entry.
        record: settings, versions and digests; what training.json begins with.
        checkpoint: written at intervals.
        progress: steps, losses and samples so far.
        events: the losses for TensorBoard; None unless they are asked for.
    """

    engine: Engine
    optimizer: AdamW | None
    recipe: FinetuneRecipe
    data: FinetuneData
    record: dict[str, Any]
    checkpoint: Checkpoint
    progress: Progress
    events: EventFiles | None

    def after_evaluation(self, progress: Progress) -> None:
        """Keep a copy of the weights if they are the best so far and `keep: best` is set."""
        self.add_events(progress.losses[-1:])
        if self.recipe.training.keep == "best" and progress.is_best:
            progress.best_weights = None  # frees the earlier ones before others are copied
            weights = self.engine.full_state(trainable_state(self.engine.model))
            progress.best_weights = {n: w.to("cpu", copy=True) for n, w in weights.items()}

    def after_step(self, progress: Progress) -> None:
        """Write a checkpoint if one is due."""
        self.checkpoint.save_if_due(progress)

    def after_epoch(self, progress: Progress) -> None:
        """Write a sample."""
        self.write_sample(progress.epoch)

    def add_events(self, losses: Iterable[Losses]) -> None:
        """Add losses to the event file, if there is one."""
        if self.events:
            for row in losses:
                values = {"loss/train": row.train_loss, "loss/val": row.val_loss}
                self.events.add(row.step, values)

    def write_sample(self, epoch: int) -> None:
        """Generate the response to the sample entry after this number of epochs."""
        if self.engine.takes_part():
            entry = self.data.sample
            response = self.engine.call(_respond, self.engine.model, self.recipe, entry)
            sample = {"epoch": epoch, **entry, "model_response": response}
            self.progress.samples.append(sample)
            when = f"after epoch {epoch}" if epoch else "before training"
            log.info("First validation entry, %s: %s", when, " ".join(response.split()))


def checkpoint_of(model: Path) -> Path:
    """Return where the checkpoint of a finetuning is, by the model that it writes."""
    return model.with_name("checkpoint.pt")


def start_or_resume(
    files: FinetuneFiles,
    recipe: FinetuneRecipe,
    compute: Compute,
    engine: Engine,
    data: FinetuneData,
) -> Run:
    """Make the optimizer and resume from the checkpoint; without one, measure the initial losses.

    Returns:
        the run, with weights, optimizer, random numbers and progress ready for the next step.
    """
    # Without epochs none is made: torch imports its compiler for it, which takes seconds.
    optimizer = make_optimizer(engine.model, recipe.training) if recipe.training.epochs else None
    if optimizer and compute.world.world_size == 1:
        recycle_gradients(engine.model, optimizer)
    record = _record_of(files, recipe, compute, engine)
    path = checkpoint_of(files.outputs.model)
    belongs_to = record | {"device": compute.device.type, "code": compute.code}
    every = compute.settings.checkpoint_every
    checkpoint = Checkpoint(path, belongs_to, every, engine, optimizer)
    wanted = compute.settings.tensorboard and optimizer and engine.world.is_leader
    events = EventFiles(path.with_name("tensorboard")) if wanted else None
    run = Run(engine, optimizer, recipe, data, record, checkpoint, Progress(), events)
    if not checkpoint.restore(run.progress):
        run.write_sample(0)
        torch.manual_seed(recipe.training.seed)
        losses = evaluate(engine, data.loaders, recipe.evaluation.batches)
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"the losses before training are {losses[0]} and {losses[1]}; the base model "
                f"{files.inputs.weights} does not fit, delete it and run again"
            )
        run.progress.initial_losses = losses
        log.info("Initial losses: train %.3f, val %.3f", *losses)
        torch.manual_seed(recipe.training.seed)
    run.add_events(run.progress.losses)  # those up to the checkpoint
    return run


def write_outputs(files: FinetuneFiles, compute: Compute, run: Run) -> None:
    """Write weights, losses, samples and the record; then remove the checkpoint.

    All processes call it, and the leader writes.
    """
    engine, progress = run.engine, run.progress
    outputs, training = files.outputs, run.recipe.training
    weights = progress.best_weights
    if weights is None:
        weights = engine.full_state(trainable_state(engine.model))
    peaks = engine.world.gather(peak_memory(compute.device))
    if not engine.world.is_leader:
        return
    check_not_lost(run.checkpoint.path)
    model = engine.model
    if engine.sharded:  # loaded again: the leader holds only a part of each weight
        model = load_base_model(files.inputs.weights, training.drop_rate)
        if training.lora:
            add_adapters(model, training.lora, training.seed)
    load_trainable(model, weights)
    if odd := not_finite(weights):
        raise UserError(
            f"the weights are no longer finite numbers after step {progress.step} ({odd}); lower "
            "training.learning_rate"
        )
    if training.lora:
        if outputs.adapter:
            save_adapters(model, training.lora, run.record["inputs"]["weights"], outputs.adapter)
        merge_adapters(model)

    save_model(model, outputs.model)
    columns = [field.name for field in fields(Losses)]
    write_csv(outputs.losses, columns, map(asdict, progress.losses), recorded=True)
    write_json(outputs.samples, progress.samples, recorded=True)
    speed = round(progress.tokens_seen / progress.seconds) if progress.step else None
    result = {
        "initial_losses": dict(zip(("train", "val"), progress.initial_losses, strict=True)),
        "steps": progress.step,
        "kept_step": progress.kept_step,
        "tokens_seen": progress.tokens_seen,
        "too_long": run.data.too_long,
        "cut_before_response": run.data.unanswered,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": speed,
        "processes": engine.world.world_size,
        "sharded": engine.sharded,
        "peak_memory_bytes": max(peaks),
        "resumed_at": progress.resumed_at,
    }
    write_json(outputs.training, run.record | result, recorded=True)
    if run.events:
        run.events.close()
    run.checkpoint.remove()


def _record_of(
    files: FinetuneFiles, recipe: FinetuneRecipe, compute: Compute, engine: Engine
) -> dict[str, Any]:
    """Return what training.json says of a run before it begins."""
    parameters = sum(map(torch.numel, engine.model.parameters()))
    trained = sum(map(torch.numel, trainable_state(engine.model).values()))
    return {
        "model": asdict(engine.model.config),
        "parameters": parameters - trained if recipe.training.lora else parameters,
        "trainable_parameters": trained,
        "tokenizer": recipe.tokenizer.name,
        "weights": str(files.inputs.weights),
        "style": asdict(recipe.style),
        "training": recipe.training.model_dump(),
        "evaluation": recipe.evaluation.model_dump(),
        "precision": "bf16" if engine.bf16 else "fp32",
        "device": describe(compute.device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "inputs": {name: sha256_of(path) for name, path in asdict(files.inputs).items()},
    }


def _respond(model: GPTModel, recipe: FinetuneRecipe, entry: Entry) -> str:
    """Return the model's response to one entry."""
    tokenizer, style = recipe.tokenizer, recipe.style
    prompt = tokenizer.encode_ordinary(style.prompt(entry))
    [(_, tokens)] = generate(model, [prompt], SAMPLE_TOKENS, tokenizer.eot_token)
    return style.answer(tokenizer.decode(tokens))

"""One finetuning from files to files: base weights and tokens in, a trained model out."""

from contextlib import nullcontext
from pathlib import Path

import torch._dynamo  # noqa: F401  # as the first optimizer does; here once for all jobs
from pydantic import BaseModel, ConfigDict

from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.fast.cuda_graphs import has_graphs
from workflow.lib.model.device import describe, make_repeatable, prepare_device, trains_in_bf16
from workflow.lib.model.lora import add_adapters
from workflow.lib.model.weights import load_base_model
from workflow.lib.parallel.distributed import DistributedEngine
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.parallel.world import join_world
from workflow.lib.runtime.lock import held, wait_until_free
from workflow.lib.runtime.log import log
from workflow.lib.runtime.processes import Worker
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer
from workflow.lib.training.arguments import (
    Compute,
    FinetuneFiles,
    FinetuneRecipe,
    Inputs,
    Outputs,
    Sharding,
)
from workflow.lib.training.data import load_data
from workflow.lib.training.run import checkpoint_of, start_or_resume, write_outputs
from workflow.lib.training.train import train

DOING = "trains"  # what a run does with its checkpoint, for another that is refused


def finetune(files: FinetuneFiles, recipe: FinetuneRecipe, compute: Compute) -> None:
    """Finetune a base model on a tokenized split and write the result.

    A run that was killed resumes from its last checkpoint, a file beside the outputs. Ctrl-C and
    SIGTERM end the training after the current step, with a checkpoint. The leader holds the lock of
    that file, so that no other run trains at the same time.

    Args:
        files: what is read and written.
        recipe: tokenizer, prompt style and settings of the training.
        compute: device, processes and precision.

    Raises:
        UserError: the tokenizer is not the model's, the training split does not fill a batch, an
            entry is longer than is allowed, the loss stopped being a number, or another run holds
            the checkpoint.
        KeyboardInterrupt: a signal ended the training.
    """
    checkpoint = checkpoint_of(files.outputs.model)
    with held(checkpoint, DOING) if compute.world.is_leader else nullcontext():
        _finetune(files, recipe, compute)


def claim(model: str) -> None:
    """Return once no other run trains this model, before anything of that run is touched.

    Raises:
        UserError: one does.
    """
    wait_until_free(checkpoint_of(Path(model)), DOING)


def _finetune(files: FinetuneFiles, recipe: FinetuneRecipe, compute: Compute) -> None:
    """Finetune while the checkpoint is this run's."""
    log.info("Device: %s", describe(compute.device))
    engine = prepare_model(files.inputs.weights, recipe.training, compute)
    data = load_data(files.inputs, recipe, engine.model.config)
    run = start_or_resume(files, recipe, compute, engine, data)
    if run.optimizer:
        settings = recipe.training, recipe.evaluation
        with run.checkpoint.interruption.awaited("finishing this step and writing a checkpoint"):
            train(engine, run.optimizer, data.loaders, *settings, run.progress, hooks=run)
        log.info("Training completed in %.2f minutes.", run.progress.seconds / 60)
    with run.checkpoint.interruption.awaited("but the training is done; writing its results"):
        write_outputs(files, compute, run)


def prepare_model(weights: Path, training: Training, compute: Compute) -> Engine:
    """Load a base model, add adapters and faster layers, and move it to its device.

    Args:
        weights: what `convert_checkpoint` wrote.
        training: dropout, adapters and micro-batches.

    Returns:
        the engine of one process, or of several.
    """
    model = load_base_model(weights, training.drop_rate)
    if training.lora:
        add_adapters(model, training.lora, training.seed)
    fast, device, world = compute.settings.fast, compute.device, compute.world
    if fast:
        speed_up(model, device)
    make_repeatable(device)
    bf16 = trains_in_bf16(device, compute.settings.precision)
    micro_batches = training.gradient_accumulation
    if world.world_size == 1:
        model.to(device)
        if fast and has_graphs(device) and not training.drop_rate:
            return GraphEngine(model, micro_batches=micro_batches, bf16=bf16)
        return Engine(model, micro_batches=micro_batches, bf16=bf16, packed=fast)
    return DistributedEngine(
        model, world, device, compute.sharding,
        micro_batches=micro_batches, bf16=bf16, packed=fast,
    )  # fmt: skip


class FinetuneJob(BaseModel):
    """The work of rule `finetune`, which can be passed to other processes as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Inputs
    outputs: Outputs
    tokenizer: Path
    style: PromptStyle
    training: Training
    evaluation: Evaluation
    computing: Computing
    sharding: Sharding
    code: str

    def run(self, worker: Worker) -> None:
        """Do the part of one process."""
        device = prepare_device(self.computing, worker.local_rank, worker.local_world_size)
        tokenizer = load_tokenizer(self.tokenizer)
        finetune(
            FinetuneFiles(self.inputs, self.outputs),
            FinetuneRecipe(tokenizer, self.style, self.training, self.evaluation),
            Compute(device, join_world(worker, device), self.computing, self.sharding, self.code),
        )

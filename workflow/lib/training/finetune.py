"""One finetuning from files to files: base weights and tokens in, a trained model out."""

import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tiktoken
import torch

from workflow.lib.data.entries import Entry, read_entries
from workflow.lib.fast.cpu_kernels import recycle_gradients, speed_up
from workflow.lib.generation.generate import generate
from workflow.lib.model.device import describe, make_repeatable, peak_memory, trains_in_bf16
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.lora import add_adapters, merge_adapters, save_adapters
from workflow.lib.model.weights import load_base_model, load_trainable, save_model, trainable_state
from workflow.lib.parallel.engine import ALONE, Team
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import sha256_of, write_csv, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.dataloader import drop_cut_before_response, make_dataloader, read_split
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer
from workflow.lib.training.checkpoint import Checkpoint, Evaluated, State
from workflow.lib.training.optimizer import make_optimizer
from workflow.lib.training.train import evaluate, train_model

SAMPLE_TOKENS = 50  # length of the samples written during training, as in chapter 5


@dataclass(frozen=True)
class Inputs:
    """Files that finetuning reads: converted weights, tokens of two splits, validation entries."""

    weights: Path
    train: Path
    val: Path
    val_entries: Path


@dataclass(frozen=True)
class Outputs:
    """Files that finetuning writes.

    Args:
        model: the state dict, as the chapter's torch.save.
        losses: CSV, the fields of Evaluated as columns, a row an evaluation.
        samples: JSON list of responses to the first validation entry, before and after each epoch.
        training: JSON record of settings, versions, digests, speed, memory and initial losses.
        adapter: safetensors of the adapters, of a recipe with training.lora.
    """

    model: Path
    losses: Path
    samples: Path
    training: Path
    adapter: Path | None = None


def finetune_job(team: Team, device: torch.device, job: dict[str, Any]) -> None:
    """`finetune` as the rule describes it: paths as text, settings as dicts."""
    finetune(
        Inputs(**{name: Path(path) for name, path in job["inputs"].items()}),
        Outputs(**{name: Path(path) for name, path in job["outputs"].items()}),
        load_tokenizer(Path(job["tokenizer"])),
        PromptStyle(**job["style"]),
        Training(**job["training"]),
        Evaluation(**job["evaluation"]),
        device,
        team=team,
        **job["how"],
    )


def finetune(
    inputs: Inputs,
    outputs: Outputs,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    training: Training,
    evaluation: Evaluation,
    device: torch.device,
    *,
    team: Team = ALONE,
    sharding: str = "none",
    precision: str = "fp32",
    code: str = "",
    checkpoint_every: int | None = None,
) -> None:
    """Finetune a base model on a tokenized split and write what became of it.

    A run that was killed goes on from its last checkpoint, a file beside the outputs.

    Args:
        device: where this process computes.
        team: the processes that finetune together, each of which calls this; the first writes.
        sharding: auto, none or full: whether they spread the weights among them.
        precision: auto, fp32 or bf16, of matrix products; the weights are float32.
        code: digest of the code that runs; a checkpoint of other code is not continued.
        checkpoint_every: steps between two checkpoints; one a minute if None.

    Raises:
        UserError: the tokenizer is not the model's, the training split does not fill a batch, an
            entry is longer than is allowed, or the loss stopped being a number.
    """
    model = load_base_model(inputs.weights, training.drop_rate)
    if tokenizer.n_vocab != model.config.vocab_size:
        raise UserError(
            f"tokenizer {tokenizer.name} has {tokenizer.n_vocab} tokens, the model "
            f"{model.config.vocab_size}; correct `tokenizer` of the model in config.yaml"
        )
    max_length = min(training.max_length, model.config.context_length)
    train, train_too_long = read_split(inputs.train, max_length, training.too_long)
    val, val_too_long = read_split(inputs.val, max_length, training.too_long)
    unanswered: dict[str, list[int]] = {"train": [], "val": []}
    if training.mask_prompt:
        train, unanswered["train"] = drop_cut_before_response(train, inputs.train, max_length)
        val, unanswered["val"] = drop_cut_before_response(val, inputs.val, max_length)
    if len(train.sequences) < training.batch_size:
        raise UserError(
            f"{inputs.train}: {len(train.sequences)} entries do not fill a batch of "
            f"{training.batch_size}; lower training.batch_size of the recipe"
        )
    train_loader = make_dataloader(train, tokenizer.eot_token, training, max_length, shuffle=True)
    val_loader = make_dataloader(val, tokenizer.eot_token, training, max_length, shuffle=False)
    parameters = sum(map(torch.numel, model.parameters()))
    if training.lora:
        add_adapters(model, training.lora, training.seed)
    speed_up(model, device)
    make_repeatable(device)
    team.prepare(model, device, sharding)
    bf16 = trains_in_bf16(device, precision)

    record = {
        "model": asdict(model.config),
        "parameters": parameters,
        "trainable_parameters": sum(map(torch.numel, trainable_state(model).values())),
        "tokenizer": tokenizer.name,
        "style": asdict(style),
        "training": training.model_dump(),
        "evaluation": evaluation.model_dump(),
        "precision": "bf16" if bf16 else "fp32",
        "device": describe(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "inputs": {name: sha256_of(path) for name, path in asdict(inputs).items()},
    }
    # Without training none is made: torch imports its compiler for it, which takes seconds.
    state = State(model, make_optimizer(model, training) if training.epochs else None)
    if state.optimizer and team.size == 1:
        recycle_gradients(model, state.optimizer)
    checkpoint = Checkpoint(
        outputs.model.with_name("checkpoint.pt"),
        record | {"device": device.type, "code": code},
        checkpoint_every,
        team,
    )
    entry = read_entries(inputs.val_entries)[0]

    def write_sample(epoch: int) -> None:
        if not (team.leads or team.sharded):
            return
        sample = team.run(_sample, model, tokenizer, style, entry)
        state.samples.append({"epoch": epoch, **entry, **sample})
        answer = " ".join(state.samples[-1]["model_response"].split())
        log.info("Epochs: %d. %s", epoch, answer)

    if not checkpoint.restore(state):
        write_sample(0)
        torch.manual_seed(training.seed)
        state.initial_losses = evaluate(
            model, train_loader, val_loader, training, evaluation, bf16, team
        )
        log.info("Initial losses: train %.3f, val %.3f", *state.initial_losses)
        torch.manual_seed(training.seed)
    train_model(
        state,
        train_loader,
        val_loader,
        training,
        evaluation,
        bf16=bf16,
        team=team,
        after_step=checkpoint.save_if_due,
        after_epoch=write_sample,
    )
    if training.epochs:
        log.info("Training completed in %.2f minutes.", state.seconds / 60)
    weights = team.whole(trainable_state(model)) if state.best is None else state.best
    peaks = team.collected(peak_memory(device))
    if not team.leads:
        return
    if team.sharded:
        model = load_base_model(inputs.weights, training.drop_rate)
        if training.lora:
            add_adapters(model, training.lora, training.seed)
    load_trainable(model, weights)
    if training.lora:
        save_adapters(model, training.lora, record["inputs"]["weights"], outputs.adapter)
        merge_adapters(model)

    save_model(model, outputs.model)
    columns = [field.name for field in fields(Evaluated)]
    write_csv(outputs.losses, columns, map(asdict, state.evaluations))
    write_json(outputs.samples, state.samples)
    record |= {
        "initial_losses": dict(zip(("train", "val"), state.initial_losses, strict=True)),
        "steps": state.steps,
        "kept_step": _kept_step(state),
        "tokens_seen": state.tokens_seen,
        "too_long": {"train": train_too_long, "val": val_too_long},
        "cut_before_response": unanswered,
        "seconds": round(state.seconds, 3),
        "tokens_per_second": round(state.tokens_seen / state.seconds) if state.steps else None,
        "processes": team.size,
        "sharded": team.sharded,
        "peak_memory_bytes": max(peaks),
        "resumed_at": state.resumed_at,
    }
    write_json(outputs.training, record)
    checkpoint.remove()


def _kept_step(state: State) -> int | None:
    """The step whose weights are stored; None before the first."""
    if state.best:
        return min(state.evaluations, key=lambda evaluated: evaluated.val_loss).step
    return state.steps - 1 if state.steps else None


def _sample(
    model: GPTModel, tokenizer: tiktoken.Encoding, style: PromptStyle, entry: Entry
) -> dict[str, str]:
    """The model's answer to one entry."""
    prompt = tokenizer.encode_ordinary(style.prompt(entry))
    [(_, tokens)] = generate(model, [prompt], SAMPLE_TOKENS, tokenizer.eot_token)
    return {"model_response": style.answer(tokenizer.decode(tokens))}

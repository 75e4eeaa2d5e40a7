"""Finetuning as the chapter does it, batch for batch (section 7.6, listing 7.8).

Shuffling and evaluation take their random numbers in the chapter's order, so the same data, weights
and settings give the chapter's losses. Evaluating draws too: it changes the next epoch's order.
"""

import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path

import tiktoken
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from workflow.lib.batches import make_loader, read_split
from workflow.lib.checkpoint import load_base_model, save_model
from workflow.lib.collate import IGNORE_INDEX
from workflow.lib.data import Entry, read_entries
from workflow.lib.device import describe, make_repeatable, peak_memory, trains_in_bf16
from workflow.lib.errors import UserError
from workflow.lib.files import sha256_of, write_csv, write_json
from workflow.lib.generate import generate
from workflow.lib.model import GPTModel
from workflow.lib.optimise import make_optimizer, update
from workflow.lib.packing import summed_loss
from workflow.lib.prompts import PromptStyle
from workflow.lib.resume import Checkpoint, Evaluated, State, remaining_batches
from workflow.lib.runlog import log
from workflow.lib.settings import Evaluation, Training

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
    """

    model: Path
    losses: Path
    samples: Path
    training: Path


def finetune(
    inputs: Inputs,
    outputs: Outputs,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    training: Training,
    evaluation: Evaluation,
    device: torch.device,
    *,
    precision: str = "fp32",
    code: str = "",
    checkpoint_every: int | None = None,
) -> None:
    """Finetune a base model on a tokenized split and write what became of it.

    A run that was killed goes on from its last checkpoint, a file beside the outputs.

    Args:
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
    if len(train.sequences) < training.batch_size:
        raise UserError(
            f"{inputs.train}: {len(train.sequences)} entries do not fill a batch of "
            f"{training.batch_size}; lower training.batch_size of the recipe"
        )
    train_loader = make_loader(train, tokenizer.eot_token, training, max_length, shuffle=True)
    val_loader = make_loader(val, tokenizer.eot_token, training, max_length, shuffle=False)
    make_repeatable(device)
    model.to(device)
    bf16 = trains_in_bf16(device, precision)

    record = {
        "model": asdict(model.config),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training": training.model_dump(),
        "evaluation": evaluation.model_dump(),
        "precision": "bf16" if bf16 else "fp32",
        "device": describe(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "inputs": {name: sha256_of(path) for name, path in asdict(inputs).items()},
    }
    state = State(model, make_optimizer(model, training))
    checkpoint = Checkpoint(
        outputs.model.with_name("checkpoint.pt"),
        record | {"device": device.type, "style": asdict(style), "code": code},
        checkpoint_every,
    )
    entry = read_entries(inputs.val_entries)[0]

    def write_sample(epoch: int) -> None:
        state.samples.append({"epoch": epoch, **entry, **_sample(model, tokenizer, style, entry)})
        answer = " ".join(state.samples[-1]["model_response"].split())
        log.info("Epochs: %d. %s", epoch, answer)

    if not checkpoint.restore(state):
        write_sample(0)
        torch.manual_seed(training.seed)
        state.initial_losses = evaluate(model, train_loader, val_loader, training, evaluation, bf16)
        log.info("Initial losses: train %.3f, val %.3f", *state.initial_losses)
        torch.manual_seed(training.seed)
    train_model(
        state,
        train_loader,
        val_loader,
        training,
        evaluation,
        bf16=bf16,
        after_step=checkpoint.save_if_due,
        after_epoch=write_sample,
    )
    if training.epochs:
        log.info("Training completed in %.2f minutes.", state.seconds / 60)
    if state.best:
        model.load_state_dict(state.best)

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
        "seconds": round(state.seconds, 3),
        "tokens_per_second": round(state.tokens_seen / state.seconds) if state.steps else None,
        "peak_memory_bytes": peak_memory(device),
        "resumed_at": state.resumed_at,
    }
    write_json(outputs.training, record)
    checkpoint.remove()


def train_model(
    state: State,
    train_loader: DataLoader,
    val_loader: DataLoader,
    training: Training,
    evaluation: Evaluation,
    *,
    bf16: bool = False,
    after_step: Callable[[State], None],
    after_epoch: Callable[[int], None],
) -> None:
    """Chapter 5's train_model_simple, from wherever the state is.

    Args:
        state: changed in place.
        train_loader, val_loader: batches; the first shuffles.
        after_step: called after every step and its evaluation.
        after_epoch: called with the number of finished epochs.
    """
    model = state.model
    began = time.perf_counter() - state.seconds
    all_steps = training.epochs * len(train_loader)
    for epoch in range(state.epoch, training.epochs + 1):
        state.epoch = epoch
        for inputs, targets in remaining_batches(train_loader, state):
            model.train()
            for part in loss_parts(model, inputs, targets, training.gradient_accumulation, bf16):
                part.backward()  # gradients of the parts add up to that of the batch
            update(state.optimizer, training, state.steps, all_steps)
            state.tokens_seen += inputs.numel()
            if state.steps % evaluation.every == 0:
                losses = evaluate(model, train_loader, val_loader, training, evaluation, bf16)
                evaluated = Evaluated(state.steps, epoch, state.tokens_seen, *losses)
                _note(state, evaluated, training.keep)
            state.steps += 1
            state.batches_done += 1
            state.seconds = time.perf_counter() - began
            after_step(state)
        after_epoch(epoch)
        state.batches_done = 0


@torch.inference_mode()
def evaluate(
    model: GPTModel,
    train_loader: DataLoader,
    val_loader: DataLoader,
    training: Training,
    evaluation: Evaluation,
    bf16: bool = False,
) -> tuple[float, float]:
    """Mean of batch means over the first batches of both sets (chapter 5's evaluate_model).

    Each loader begins a new pass, which draws from the random generator.
    """
    model.eval()
    means = []
    for loader in (train_loader, val_loader):
        losses = [
            sum(loss_parts(model, *batch, training.gradient_accumulation, bf16))
            for batch in islice(loader, evaluation.batches)
        ]
        means.append(sum(torch.stack(losses).tolist()) / len(losses))  # a GPU is waited for here
    return means[0], means[1]


def loss_parts(
    model: GPTModel, inputs: Tensor, targets: Tensor, parts: int = 1, bf16: bool = False
) -> Iterator[Tensor]:
    """Mean cross-entropy over the targets of a batch that count, as summands (section 7.3).

    Every summand is divided by the targets of the whole batch, so that it does not matter how
    these are spread over the parts.

    Args:
        inputs, targets: (B, T), as `collate` makes them.
        parts: how many to compute one after the other, each of about B / parts sequences.
        bf16: whether matrices are multiplied in bfloat16.
    """
    counted = int((targets != IGNORE_INDEX).sum())
    if not counted:
        raise UserError(
            "a batch has prompts alone, cut before their responses; raise training.max_length or "
            "set training.too_long: drop"
        )
    for part in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
        if (part[1] != IGNORE_INDEX).any():
            with torch.autocast(model.tok_emb.weight.device.type, torch.bfloat16, enabled=bf16):
                loss = summed_loss(model, *part)
            yield loss / counted


def _note(state: State, evaluated: Evaluated, keep: str) -> None:
    """Add an evaluation; keep a copy of the weights if it is the best and that is wanted."""
    losses = evaluated.train_loss, evaluated.val_loss
    log.info("Ep %d (Step %06d): Train loss %.3f, Val loss %.3f",
             evaluated.epoch, evaluated.step, *losses)  # fmt: skip
    if not all(map(math.isfinite, losses)):
        raise UserError(
            f"the loss is {losses} at step {evaluated.step}; lower training.learning_rate"
        )
    if keep == "best" and all(evaluated.val_loss < e.val_loss for e in state.evaluations):
        weights = state.model.state_dict().items()
        state.best = {name: weight.to("cpu", copy=True) for name, weight in weights}
    state.evaluations.append(evaluated)


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

"""Finetuning as the chapter does it, batch for batch (section 7.6, listing 7.8).

Shuffling and evaluation take their random numbers in the chapter's order, so the same data, weights
and settings give the chapter's losses. Evaluating draws too: it changes the next epoch's order.
"""

import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import tiktoken
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from workflow.lib.checkpoint import load_base_model, save_model
from workflow.lib.collate import collate
from workflow.lib.data import Entry, read_entries
from workflow.lib.errors import UserError
from workflow.lib.files import sha256_of, write_csv, write_json
from workflow.lib.generate import generate
from workflow.lib.model import GPTModel
from workflow.lib.prompts import PromptStyle
from workflow.lib.runlog import log
from workflow.lib.settings import Evaluation, Training
from workflow.lib.token_cache import TokenizedSplit, load_tokens

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
        training: JSON record of settings, versions, digests, speed and initial losses.
    """

    model: Path
    losses: Path
    samples: Path
    training: Path


@dataclass(frozen=True)
class Evaluated:
    """Losses after a step; steps count from 0, epochs from 1, tokens with padding."""

    step: int
    epoch: int
    tokens_seen: int
    train_loss: float
    val_loss: float


@dataclass(frozen=True)
class Progress:
    """What training has done: its evaluations, steps, tokens and seconds."""

    evaluations: list[Evaluated]
    steps: int
    tokens_seen: int
    seconds: float


def finetune(
    inputs: Inputs,
    outputs: Outputs,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    training: Training,
    evaluation: Evaluation,
    device: torch.device,
) -> None:
    """Finetune a base model on a tokenized split and write what became of it.

    Raises:
        UserError: the tokenizer is not the model's, the training split does not fill a batch, or
            the loss stopped being a number.
    """
    model = load_base_model(inputs.weights, training.drop_rate)
    if tokenizer.n_vocab != model.config.vocab_size:
        raise UserError(
            f"tokenizer {tokenizer.name} has {tokenizer.n_vocab} tokens, the model "
            f"{model.config.vocab_size}; correct `tokenizer` of the model in config.yaml"
        )
    max_length = min(training.max_length, model.config.context_length)
    train = _read_tokens(inputs.train, max_length)
    val = _read_tokens(inputs.val, max_length)
    if len(train.sequences) < training.batch_size:
        raise UserError(
            f"{inputs.train}: {len(train.sequences)} entries do not fill a batch of "
            f"{training.batch_size}; lower training.batch_size of the recipe"
        )
    train_loader = make_loader(train, tokenizer.eot_token, training, max_length, shuffle=True)
    val_loader = make_loader(val, tokenizer.eot_token, training, max_length, shuffle=False)
    model.to(device)

    entry = read_entries(inputs.val_entries)[0]
    samples: list[dict[str, Any]] = []

    def write_sample(epoch: int) -> None:
        samples.append({"epoch": epoch, **entry, **_sample(model, tokenizer, style, entry)})
        log.info("Epochs: %d. %s", epoch, " ".join(samples[-1]["model_response"].split()))

    write_sample(0)
    torch.manual_seed(training.seed)
    initial = evaluate(model, train_loader, val_loader, evaluation.batches)
    log.info("Initial losses: train %.3f, val %.3f", *initial)
    torch.manual_seed(training.seed)
    done = train_model(model, train_loader, val_loader, training, evaluation, write_sample)
    if training.epochs:
        log.info("Training completed in %.2f minutes.", done.seconds / 60)

    save_model(model, outputs.model)
    columns = [field.name for field in fields(Evaluated)]
    write_csv(outputs.losses, columns, map(asdict, done.evaluations))
    write_json(outputs.samples, samples)
    write_json(
        outputs.training,
        {
            "model": asdict(model.config),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "training": training.model_dump(),
            "evaluation": evaluation.model_dump(),
            "initial_losses": {"train": initial[0], "val": initial[1]},
            "steps": done.steps,
            "tokens_seen": done.tokens_seen,
            "seconds": round(done.seconds, 3),
            "tokens_per_second": round(done.tokens_seen / done.seconds) if done.steps else None,
            "device": _describe(device),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "inputs": {name: sha256_of(path) for name, path in asdict(inputs).items()},
        },
    )


def make_loader(
    split: TokenizedSplit, end_of_text: int, training: Training, max_length: int, shuffle: bool
) -> DataLoader:
    """Batches of a split (listing 7.6), drawn from torch's global generator.

    Args:
        split: token ids of the entries.
        end_of_text: what pads.
        training: batch size and masking.
        max_length: where rows are cut.
        shuffle: a new order each pass and whole batches only, as for training.

    Returns:
        a loader of inputs and targets, each (B, T).
    """

    def collate_entries(numbers: list[int]) -> tuple[Tensor, Tensor]:
        starts = split.response_starts[numbers] if training.mask_prompt else None
        sequences = [split.sequences[number] for number in numbers]
        return collate(sequences, end_of_text, max_length, starts)

    return DataLoader(
        range(len(split.sequences)),
        batch_size=training.batch_size,
        collate_fn=collate_entries,
        shuffle=shuffle,
        drop_last=shuffle,
    )


def train_model(
    model: GPTModel,
    train_loader: DataLoader,
    val_loader: DataLoader,
    training: Training,
    evaluation: Evaluation,
    after_epoch: Callable[[int], None],
) -> Progress:
    """Chapter 5's train_model_simple.

    Args:
        model: changed in place.
        train_loader, val_loader: batches; the first shuffles.
        after_epoch: called with the number of finished epochs.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )
    began = time.perf_counter()
    evaluations: list[Evaluated] = []
    step, tokens_seen = -1, 0
    for epoch in range(1, training.epochs + 1):
        for inputs, targets in train_loader:
            model.train()
            optimizer.zero_grad()
            batch_loss(model, inputs, targets).backward()
            optimizer.step()
            tokens_seen += inputs.numel()
            step += 1
            if step % evaluation.every == 0:
                losses = evaluate(model, train_loader, val_loader, evaluation.batches)
                evaluations.append(Evaluated(step, epoch, tokens_seen, *losses))
                log.info("Ep %d (Step %06d): Train loss %.3f, Val loss %.3f", epoch, step, *losses)
                if not all(map(math.isfinite, losses)):
                    raise UserError(
                        f"the loss is {losses} at step {step}; lower training.learning_rate"
                    )
        after_epoch(epoch)
    return Progress(evaluations, step + 1, tokens_seen, time.perf_counter() - began)


@torch.inference_mode()
def evaluate(
    model: GPTModel, train_loader: DataLoader, val_loader: DataLoader, batches: int
) -> tuple[float, float]:
    """Mean of batch means over the first batches of both sets (chapter 5's evaluate_model).

    Each loader begins a new pass, which draws from the random generator.
    """
    model.eval()
    train_loss, val_loss = (
        _mean_loss(model, loader, batches) for loader in (train_loader, val_loader)
    )
    return train_loss, val_loss


def batch_loss(model: GPTModel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the targets that count.

    Args:
        inputs, targets: (B, T), as `collate` makes them, on any device.
    """
    device = model.tok_emb.weight.device
    logits = model(inputs.to(device))  # (B, T, V)
    return cross_entropy(logits.flatten(0, 1), targets.to(device).flatten())


def _mean_loss(model: GPTModel, loader: DataLoader, batches: int) -> float:
    losses = [batch_loss(model, *batch).item() for batch in islice(loader, batches)]
    return sum(losses) / len(losses)


def _read_tokens(path: Path, max_length: int) -> TokenizedSplit:
    """The tokens of a split; says which entries are longer than what is kept."""
    split = load_tokens(path)
    if long := [n for n, ids in enumerate(split.sequences) if len(ids) > max_length]:
        some = ", ".join(map(str, long[:10])) + (", ..." if len(long) > 10 else "")
        log.info("%s: %d entries cut to %d tokens: %s", path, len(long), max_length, some)
    return split


def _sample(
    model: GPTModel, tokenizer: tiktoken.Encoding, style: PromptStyle, entry: Entry
) -> dict[str, str]:
    """The model's answer to one entry."""
    prompt = tokenizer.encode_ordinary(style.prompt(entry))
    [(_, tokens)] = generate(model, [prompt], SAMPLE_TOKENS, tokenizer.eot_token)
    return {"model_response": style.answer(tokenizer.decode(tokens))}


def _describe(device: torch.device) -> str:
    """The device, and how much of it was used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"

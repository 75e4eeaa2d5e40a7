"""Pretrain a base model of GPT-2's architecture on the small world's corpus."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.weights import write_tensors
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log
from workflow.small_world.bpe import fast_tokenizer
from workflow.small_world.corpus import read_documents
from workflow.small_world.probes import binding, recall


@dataclass(frozen=True)
class Pretraining:
    """Settings of a pretraining.

    Args:
        tokens: number of tokens seen.
        batch_size: windows a step, each as long as the context.
        matrix_learning_rate: peak learning rate of Muon, for the matrices of the blocks.
        other_learning_rate: peak learning rate of AdamW, for embeddings, norms and biases.
        seed: of the initial weights and the order of the windows.
    """

    tokens: int
    batch_size: int
    matrix_learning_rate: float
    other_learning_rate: float
    seed: int


def pretrain_base_model(
    corpus: Path,
    tokenizer_folder: Path,
    shape: dict[str, Any],
    settings: Pretraining,
    weights: Path,
    probes: Path,
) -> None:
    """Pretrain one base model, measure what it knows, and save both.

    Args:
        corpus: the pretraining text.
        tokenizer_folder: holds encoder.json and vocab.bpe.
        shape: the fields of GPTConfig without vocab_size.
        weights: state dict to write, with a copy of the token embedding as output head.
        probes: JSON file to write: both probes, parameters, tokens and minutes.
    """
    started = time.monotonic()
    tokenizer = fast_tokenizer(tokenizer_folder)
    stream = encode_corpus(corpus, tokenizer)
    config = GPTConfig(vocab_size=tokenizer.get_vocab_size(), **shape)
    model = pretrain(config, stream, settings)
    known = {
        "recall": recall(model, tokenizer),
        "binding": binding(model, tokenizer),
        # Without the output head, as in a checkpoint.
        "parameters": sum(p.numel() for p in model.parameters()) - model.out_head.weight.numel(),
        "tokens": settings.tokens,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    log.info("recall %(recall).3f, binding %(binding).3f", known)
    write_tensors(model.state_dict(), weights)
    write_json(probes, known)


def encode_corpus(corpus: Path, tokenizer: Tokenizer) -> np.ndarray:
    """Encode all documents as one stream of token ids, with <|endoftext|> after each.

    Args:
        corpus: the pretraining text.
        tokenizer: from `fast_tokenizer`.

    Returns:
        uint16 array of token ids.
    """
    end_of_text = tokenizer.token_to_id(END_OF_TEXT)
    encoded = tokenizer.encode_batch(read_documents(corpus), add_special_tokens=False)
    ids = [token_id for one in encoded for token_id in (*one.ids, end_of_text)]
    return np.array(ids, dtype=np.uint16)


def pretrain(config: GPTConfig, stream: np.ndarray, settings: Pretraining) -> GPTModel:
    """Train a model from scratch to predict the next token of the stream.

    A window may start anywhere in a document, so every position of the context sees every kind of
    text. The output head is tied to the token embedding, as in GPT-2.

    Args:
        config: shape of the model.
        stream: token ids.

    Returns:
        The trained model, with a copy of the token embedding as output head.
    """
    torch.manual_seed(settings.seed)
    model = GPTModel(config)
    _initialize(model)
    model.out_head.weight = model.tok_emb.weight
    optimizers = _optimizers(model, settings)
    tokens_a_step = settings.batch_size * config.context_length
    steps = settings.tokens // tokens_a_step
    started = time.monotonic()
    for step, batch in zip(range(steps), _batches(stream, config, settings), strict=False):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * _schedule(step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = _loss(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            minutes = (time.monotonic() - started) / 60
            log.info(
                "step %d of %d, %.2fM tokens, loss %.3f, %.1f minutes",
                step,
                steps,
                (step + 1) * tokens_a_step / 1e6,
                loss.item(),
                minutes,
            )
    model.out_head.weight = nn.Parameter(model.tok_emb.weight.detach().clone())
    return model.eval()


def _initialize(model: GPTModel) -> None:
    """Initialize as GPT-2: normal with 0.02, smaller where a block adds to the residual stream."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            adds_to_residual = name.endswith(("out_proj.weight", "ff.layers.2.weight"))
            depth = math.sqrt(2 * model.config.n_layers) if adds_to_residual else 1.0
            nn.init.normal_(parameter, std=0.02 / depth)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


def _optimizers(model: GPTModel, settings: Pretraining) -> list[torch.optim.Optimizer]:
    """Return Muon for the blocks' matrices, which halves the tokens needed; AdamW for the rest."""
    matrices = [p for p in model.trf_blocks.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if not any(p is matrix for matrix in matrices)]
    muon = torch.optim.Muon(
        matrices,
        lr=settings.matrix_learning_rate,
        weight_decay=0.01,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        others, lr=settings.other_learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    for optimizer in (muon, adamw):
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return [muon, adamw]


def _schedule(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: 40 steps of warmup, flat, then decay to 0."""
    return min(1.0, (step + 1) / 40, 2 * (1 - step / steps))


def _batches(stream: np.ndarray, config: GPTConfig, settings: Pretraining) -> Iterator[Tensor]:
    """Yield (B, T + 1) windows endlessly; each pass over the stream starts at another offset."""
    generator = np.random.default_rng(settings.seed)
    length = config.context_length
    while True:
        offset = int(generator.integers(length))
        count = (len(stream) - offset - 1) // length
        order = generator.permutation(count)
        for first in range(0, count - settings.batch_size + 1, settings.batch_size):
            starts = offset + length * order[first : first + settings.batch_size]
            rows = np.stack([stream[start : start + length + 1] for start in starts])
            yield torch.from_numpy(rows.astype(np.int64))


def _loss(model: GPTModel, batch: Tensor) -> Tensor:
    logits = model(batch[:, :-1])  # (B, T, V)
    return cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())

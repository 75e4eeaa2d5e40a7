"""What the pipeline is measured against: the chapter's model and transformers', in a plain loop.

Both compute padded batches as the chapter does: a step at a time, losses read one by one.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.gpu.bench import Bench
from tests.support.oracle import ChapterModel
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.settings.recipe import Evaluation, Training

os.environ.setdefault("HF_HUB_OFFLINE", "1")


class Chapter(nn.Module):
    """The chapter's own model, with the weights of another."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        with model.tok_emb.weight.device:
            self.model = ChapterModel(asdict(model.config))
        self.model.load_state_dict(model.state_dict(), strict=False)

    def forward(self, token_ids: Tensor) -> Tensor:
        return self.model(token_ids)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW as the chapter makes it."""
        chosen = Training()
        return torch.optim.AdamW(
            self.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay
        )


class Transformers(nn.Module):
    """GPT-2 of transformers with the same shape, its head untied; weights are of its own."""

    def __init__(self, config: GPTConfig, device: torch.device) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        shape = GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.context_length, n_embd=config.emb_dim,
            n_layer=config.n_layers, n_head=config.n_heads, tie_word_embeddings=False,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
            pad_token_id=0,
        )  # fmt: skip
        with device:
            self.model = GPT2LMHeadModel(shape)

    def forward(self, token_ids: Tensor) -> Tensor:
        return self.model(token_ids, use_cache=False).logits

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW as transformers' Trainer makes it."""
        chosen = Training()
        return torch.optim.AdamW(
            self.parameters(),
            lr=chosen.learning_rate,
            weight_decay=chosen.weight_decay,
            fused=True,
        )

    @torch.no_grad()
    def respond(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Tensor:
        """Continue all prompts at once, padded on the left, by a fixed number of tokens."""
        device, longest = next(self.parameters()).device, max(map(len, prompts))
        padded = torch.tensor([[0] * (longest - len(p)) + [*p] for p in prompts], device=device)
        there = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        return self.model.generate(
            padded, attention_mask=torch.tensor(there, device=device), do_sample=False,
            min_new_tokens=new_tokens, max_new_tokens=new_tokens,
        )  # fmt: skip


def finetune_plainly(
    model: Any, bench: Bench, bf16: bool, epochs: int, steps: int | None = None
) -> list[tuple[float, float]]:
    """Train and evaluate as the chapter's loop does.

    Args:
        steps: most steps; all if None.

    Returns:
        the losses of both splits at each evaluation.
    """
    loaders, every = bench.data.loaders, Evaluation()
    optimizer, device, found = model.optimizer(), bench.device, []

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs.to(device))
        return cross_entropy(logits.flatten(0, 1).float(), targets.to(device).flatten())

    @torch.no_grad()
    def mean_loss(loader: Any) -> float:
        losses = [loss_of(*batch).item() for batch in islice(loader, every.batches)]
        return sum(losses) / len(losses)

    torch.manual_seed(Training().seed)
    step = 0
    for _ in range(epochs):
        for batch in loaders.train:
            model.train()
            optimizer.zero_grad()
            loss_of(*batch).backward()
            optimizer.step()
            if step % every.every == 0:
                model.eval()
                found.append((mean_loss(loaders.train), mean_loss(loaders.val)))
            step += 1
            if step == steps:
                return found
    return found


@torch.no_grad()
def respond_plainly(
    model: nn.Module, bench: Bench, limits: Sequence[int], enough: Callable[[], bool]
) -> int:
    """Answer prompts one by one, the whole text for each token, until it is enough.

    Returns:
        the number of tokens generated.
    """
    model.eval()
    done = 0
    for prompt, limit in zip(bench.data.prompts, limits, strict=True):
        text = torch.tensor([prompt], device=bench.device)
        for _ in range(limit):
            text = torch.cat([text, model(text)[:, -1].argmax(-1, keepdim=True)], 1)
            done += 1
        text.tolist()  # waits, as decoding to text does
        if enough():
            break
    return done

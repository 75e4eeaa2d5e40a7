"""What the pipeline is measured against: the chapter's model and GPT-2 of transformers."""

import os
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from tests.support.oracle import ChapterModel
from workflow.lib.export.weights import hf_tensors
from workflow.lib.model.gpt import GPTModel
from workflow.lib.settings.recipe import Training

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
    """GPT-2 of transformers with the shape and the weights of another model, its head untied."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        config = model.config
        shape = GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.context_length, n_embd=config.emb_dim,
            n_layer=config.n_layers, n_head=config.n_heads, tie_word_embeddings=False,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        with model.tok_emb.weight.device:
            self.model = GPT2LMHeadModel(shape)
        self.model.load_state_dict(hf_tensors(model))

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return logits; padding on the right needs no mask, as no position sees a later one."""
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
    def respond(self, prompts: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[list[int]]:
        """Continue all prompts at once, padded on the left, each to a given number of tokens.

        Args:
            prompts: token ids.
            lengths: how many tokens to add to each; the whole batch waits for the longest.

        Returns:
            the new tokens of each.
        """
        device, longest = next(self.parameters()).device, max(map(len, prompts))
        padded = torch.tensor([[0] * (longest - len(p)) + [*p] for p in prompts], device=device)
        there = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        ends = torch.tensor(lengths, device=device) + longest
        end = self.model.config.vocab_size - 1

        def end_at_length(texts: Tensor, logits: Tensor) -> Tensor:
            """Choose the end-of-text token for texts of full length, and for no others."""
            finished = texts.shape[1] >= ends
            logits[:, end] = -torch.inf
            logits[finished] = -torch.inf
            logits[finished, end] = 0
            return logits

        texts = self.model.generate(
            padded, attention_mask=torch.tensor(there, device=device), do_sample=False,
            max_new_tokens=max(lengths), logits_processor=[end_at_length], eos_token_id=end,
            pad_token_id=0,  # of the config, every forward pass would look for it and wait for CUDA
        )  # fmt: skip
        rows = zip(texts[:, longest:].tolist(), lengths, strict=True)
        return [tokens[:length] for tokens, length in rows]

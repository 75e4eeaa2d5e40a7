"""GPT-2 as chapters 4 and 7 build it: pre-LayerNorm blocks, learned positions, tanh GELU.

Module and parameter names are the chapter's, so a `.pth` file saved by its code loads here.
Shapes in comments: B sequences, T tokens, D = emb_dim, H heads of size D / H, V = vocab_size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

# The attention of one layer: takes the layer's number and its queries, keys and values, each
# (..., H, D/H) with the leading shape of the token ids, and returns context vectors of that shape.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class GPTConfig:
    """The shape of one model (the chapter's BASE_CONFIG and model_configs, listing 7.7).

    Args:
        vocab_size: number of tokens V, the end-of-text token included.
        context_length: the most positions the model can see.
        emb_dim: width D of the residual stream.
        n_heads: attention heads H; divides emb_dim.
        n_layers: transformer blocks.
        drop_rate: dropout after embeddings, attention weights and sub-layers; the chapter's is 0.
        qkv_bias: whether queries, keys and values have a bias; GPT-2's have.
    """

    vocab_size: int
    context_length: int
    emb_dim: int
    n_heads: int
    n_layers: int
    drop_rate: float = 0.0
    qkv_bias: bool = True

    def __post_init__(self) -> None:
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim {self.emb_dim} is not a multiple of n_heads {self.n_heads}")


class GPTModel(nn.Module):
    """The model of listing 7.7: token ids in, one logit per vocabulary entry and position out."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.emb_dim)
        self.pos_emb = nn.Embedding(config.context_length, config.emb_dim)
        self.drop_emb = nn.Dropout(config.drop_rate)
        self.trf_blocks = nn.Sequential(
            *(TransformerBlock(config, layer) for layer in range(config.n_layers))
        )
        self.final_norm = LayerNorm(config.emb_dim)
        self.out_head = nn.Linear(config.emb_dim, config.vocab_size, bias=False)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Compute the logits of every position.

        Args:
            token_ids: (B, T) integers, T at most context_length.

        Returns:
            (B, T, V) logits.
        """
        return self.out_head(self.hidden(token_ids))

    def hidden(
        self, token_ids: Tensor, positions: Tensor | None = None, attend: Attend | None = None
    ) -> Tensor:
        """Compute the final-norm states of the given positions, before the output head.

        Args:
            token_ids: (B, T), or any leading shape that `attend` understands.
            positions: position of each token in its own sequence, broadcastable to token_ids;
                0..T-1 if not given.
            attend: the attention between positions; causal attention over T if not given.

        Returns:
            (*token_ids.shape, D).
        """
        if positions is None:
            positions = torch.arange(token_ids.shape[-1], device=token_ids.device)
        if attend is None:
            attend = CausalAttention(self.config.drop_rate if self.training else 0.0)
        x = self.drop_emb(self.tok_emb(token_ids) + self.pos_emb(positions))  # (B, T, D)
        for block in self.trf_blocks:
            x = block(x, attend)
        return self.final_norm(x)


class TransformerBlock(nn.Module):
    """A transformer block: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.att = MultiHeadAttention(config, layer)
        self.ff = FeedForward(config)
        self.norm1 = LayerNorm(config.emb_dim)
        self.norm2 = LayerNorm(config.emb_dim)
        self.drop_shortcut = nn.Dropout(config.drop_rate)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        x = x + self.drop_shortcut(self.att(self.norm1(x), attend))
        return x + self.drop_shortcut(self.ff(self.norm2(x)))


class MultiHeadAttention(nn.Module):
    """Attention with separate query, key and value matrices; `attend` does the causal part."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads = (config.n_heads, config.emb_dim // config.n_heads)
        self.W_query = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.W_key = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.W_value = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.out_proj = nn.Linear(config.emb_dim, config.emb_dim)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        queries = self.W_query(x).unflatten(-1, self.heads)  # (B, T, H, D/H)
        keys = self.W_key(x).unflatten(-1, self.heads)
        values = self.W_value(x).unflatten(-1, self.heads)
        context = attend(self.layer, queries, keys, values)  # (B, T, H, D/H)
        return self.out_proj(context.flatten(-2))  # (B, T, D)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # The chapter's class also stores its causal mask, a constant that is not needed here.
        state_dict.pop(prefix + "mask", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


@dataclass(frozen=True)
class CausalAttention:
    """Causal attention: every position of a (B, T) batch sees itself and those before it."""

    drop_rate: float = 0.0

    def __call__(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        context = scaled_dot_product_attention(
            queries.transpose(1, 2),  # (B, H, T, D/H)
            keys.transpose(1, 2),
            values.transpose(1, 2),
            dropout_p=self.drop_rate,
            is_causal=True,
        )
        return context.transpose(1, 2)  # (B, T, H, D/H)


class FeedForward(nn.Module):
    """A feed-forward network of two layers, four times as wide in between."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.emb_dim, 4 * config.emb_dim),
            GELU(),
            nn.Linear(4 * config.emb_dim, config.emb_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class GELU(nn.Module):
    """The tanh approximation of GELU, with which GPT-2 was trained."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x, approximate="tanh")


class LayerNorm(nn.Module):
    """Layer normalization over the last dimension; `scale` and `shift` are the chapter's names."""

    def __init__(self, emb_dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:], self.scale, self.shift, eps=1e-5)

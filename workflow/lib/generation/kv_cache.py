"""A key-value cache: with it, a new token costs the computation of one position.

The chapter feeds the whole text through the model again for every token. But a position sees none
that come after it, so its keys and values do not change as the text grows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

from workflow.lib.fast.packing import share_beginnings
from workflow.lib.model.device import order_is_free
from workflow.lib.model.gpt import CausalAttention, GPTConfig, GPTModel

AHEAD = 32  # positions that are zeroed before they are reached


class KeyValueCache:
    """Keys and values of every layer for several sequences, and the attention of new positions.

    The first `len(cache)` rows are in use. Each has its own length; what it holds after that is
    never seen::

        row 0   k k k k k k . .     length 6
        row 1   k k k . . . . .     length 3
        row 2   . . . . . . . .     free

    Args:
        config: shape of the model.
        rows: the most sequences B at a time.
        capacity: the most positions S of each.
        like: a tensor of the wanted type and device.
    """

    def __init__(self, config: GPTConfig, rows: int, capacity: int, like: Tensor) -> None:
        size = (config.n_layers, rows, config.n_heads, capacity, config.emb_dim // config.n_heads)
        self.keys = like.new_empty(size)  # (L, B, H, S, D/H)
        self.values = like.new_empty(size)
        self.cleared = 0
        self.rows = rows
        self.lengths: list[int] = []

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, model: GPTModel, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Put prompts into free rows; common beginnings are computed once, padding never.

        Returns:
            (len(prompts), D) states of their last tokens, which predict what comes next.
        """
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        tokens = pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        device = self.keys.device
        attention = share_beginnings(tokens, lengths)
        last = attention.numbers[torch.arange(len(prompts)), lengths - 1].to(device)
        ids, places = tokens.flatten()[attention.first], attention.first % tokens.shape[1]
        attention = attention.to(device)
        rows = slice(len(self), len(self) + len(prompts))

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            queries, keys, values = map(attention.as_rows, (queries, keys, values))
            self.keys[layer, rows, :, : keys.shape[1]] = keys.transpose(1, 2)
            self.values[layer, rows, :, : keys.shape[1]] = values.transpose(1, 2)
            return attention.as_packed(CausalAttention()(layer, queries, keys, values))

        self._clear(tokens.shape[1])
        states = model.hidden(ids.to(device), places.to(device), attend)  # (N, D)
        self.lengths += lengths.tolist()
        return states[last]

    def extend(self, model: GPTModel, tokens: Sequence[int]) -> Tensor:
        """Append one token to each row in use.

        Returns:
            (len(tokens), D) their states.
        """
        new = torch.tensor([tokens, self.lengths])
        states = self._extend(model, max(self.lengths) + 1, new)
        self.lengths = [length + 1 for length in self.lengths]
        return states

    def _extend(self, model: GPTModel, seen: int, new: Tensor) -> Tensor:
        """Do as `_append` for all rows in use; `new` is on the host."""
        self._clear(seen)
        return self._append(model, seen, new.to(self.keys.device))

    def _append(self, model: GPTModel, seen: int, new: Tensor) -> Tensor:
        """Compute one token of each of the first B rows; keep its keys and values.

        Args:
            seen: number of places S that any of the tokens may see.
            new: (2, B), the tokens and their places.

        Returns:
            (B, D) their states.
        """
        tokens, places = new
        rows = new.shape[1]
        row_numbers = torch.arange(rows, device=new.device)
        mask = mask_unseen(places, seen, self.keys)

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            self.keys[layer, row_numbers, :, places] = keys[:, 0]  # (B, H, D/H)
            self.values[layer, row_numbers, :, places] = values[:, 0]
            context = scaled_dot_product_attention(
                queries.transpose(1, 2),  # (B, H, 1, D/H)
                self.keys[layer, :rows, :, :seen],
                self.values[layer, :rows, :, :seen],
                attn_mask=mask,
            )
            return context.transpose(1, 2)

        with order_is_free():  # each row writes to its own places
            return model.hidden(tokens[:, None], places[:, None], attend)[:, 0]

    def remove(self, row: int) -> None:
        """Free a row; the last one in use moves to its place."""
        length = self.lengths.pop()
        if row < len(self):
            self.keys[:, row, :, :length] = self.keys[:, len(self), :, :length]
            self.values[:, row, :, :length] = self.values[:, len(self), :, :length]
            self.lengths[row] = length

    def _clear(self, seen: int) -> None:
        """Zero positions before they are first read: NaN times an attention weight of 0 is NaN.

        Done in parts, as the texts grow: the system provides memory only once it is touched.
        """
        if seen > self.cleared:
            part = slice(self.cleared, seen + AHEAD)
            self.keys[:, :, :, part].zero_()
            self.values[:, :, :, part].zero_()
            self.cleared = part.stop


def mask_unseen(newest: Tensor, seen: int, like: Tensor) -> Tensor:
    """Return what attention adds to the scores of a row's places: -inf after its newest position.

    One mask serves all layers. From a Boolean one torch would make it again in each.

    Args:
        newest: (B,), the place of the newest position of each row.
        seen: number S of places.
        like: a tensor of the wanted type and device.

    Returns:
        (B, 1, 1, S).
    """
    unseen = torch.arange(seen, device=like.device) > newest[:, None]  # (B, S)
    mask = like.new_zeros(unseen.shape).masked_fill_(unseen, -torch.inf)
    return mask[:, None, None, :]


def bytes_per_position(model: GPTModel) -> int:
    """Return the size of the keys and values of one token in all layers."""
    return 2 * model.config.n_layers * model.config.emb_dim * model.tok_emb.weight.element_size()

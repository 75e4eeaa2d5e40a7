"""The chapter's program in plain steps: what every faster path of the pipeline is held to.

Everything is computed, padding and repeated prompts included, with attention written out and the
whole text fed through the model again for every generated token. Written to be read beside
chapters 4, 5 and 7, not to be fast.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


def logits_of(model, token_ids):
    """GPT-2's forward pass from the parameters of a GPTModel, without its code.

    Args:
        model: only its state dict and config are read.
        token_ids: (B, T).

    Returns:
        (B, T, V) logits.
    """
    state, config = dict(model.named_parameters()), model.config
    batch, length = token_ids.shape

    def linear(x, name):
        y = x @ state[f"{name}.weight"].T
        return y + state[f"{name}.bias"] if f"{name}.bias" in state else y

    def norm(x, name):
        mean = x.mean(-1, keepdim=True)
        variance = x.var(-1, keepdim=True, unbiased=False)
        return (
            state[f"{name}.scale"] * (x - mean) / torch.sqrt(variance + 1e-5)
            + state[f"{name}.shift"]
        )

    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def attention(x, name):
        size = config.emb_dim // config.n_heads
        split = (batch, length, config.n_heads, size)
        queries, keys, values = (
            linear(x, f"{name}.W_{part}").view(split).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(size)  # (B, H, T, T)
        future = torch.ones(length, length, device=x.device).triu(1).bool()
        weights = torch.softmax(scores.masked_fill(future, -torch.inf), dim=-1)
        context = (weights @ values).transpose(1, 2).reshape(batch, length, config.emb_dim)
        return linear(context, f"{name}.out_proj")

    x = state["tok_emb.weight"][token_ids] + state["pos_emb.weight"][:length]
    for layer in range(config.n_layers):
        block = f"trf_blocks.{layer}"
        x = x + attention(norm(x, f"{block}.norm1"), f"{block}.att")
        hidden = gelu(linear(norm(x, f"{block}.norm2"), f"{block}.ff.layers.0"))
        x = x + linear(hidden, f"{block}.ff.layers.2")
    return linear(norm(x, "final_norm"), "out_head")


def collate_textbook(batch, pad_token_id, allowed_max_length=None, prompt_lengths=None):
    """Collate as listing 7.5, entry by entry; with prompt_lengths also exercise 7.2."""
    longest = max(len(entry) + 1 for entry in batch)
    inputs, targets = [], []
    for number, entry in enumerate(batch):
        padded = [*map(int, entry)] + [pad_token_id] * (longest - len(entry))
        entry_inputs, entry_targets = padded[:-1], padded[1:]
        ends = [place for place, token in enumerate(entry_targets) if token == pad_token_id]
        for place in ends[1:]:
            entry_targets[place] = -100
        if prompt_lengths is not None:
            for place in range(int(prompt_lengths[number]) - 1):
                entry_targets[place] = -100
        inputs.append(entry_inputs[:allowed_max_length])
        targets.append(entry_targets[:allowed_max_length])
    return torch.tensor(inputs), torch.tensor(targets)


class TokenDataset(Dataset):
    """Listing 7.4, for texts that are already tokens."""

    def __init__(self, sequences):
        self.sequences = sequences

    def __getitem__(self, number):
        return number, self.sequences[number]

    def __len__(self):
        return len(self.sequences)


@dataclass
class Trace:
    """What the textbook run met on its way."""

    initial: tuple[float, float] = (0.0, 0.0)
    evaluations: list = field(default_factory=list)  # (step, epoch, tokens seen, train, val)
    step_losses: list = field(default_factory=list)  # of every training batch
    batch_lengths: list = field(default_factory=list)  # T of every training batch


def finetune_textbook(
    model,
    train,
    val,
    pad_token_id,
    *,
    epochs=2,
    batch_size=8,
    learning_rate=5e-5,
    weight_decay=0.1,
    max_length=1024,
    every=5,
    batches=5,
    seed=123,
    prompt_lengths=None,
    steps=None,
):
    """Sections 7.4 and 7.6 with chapter 5's training functions; changes the model.

    Args:
        train, val: lists of token id sequences.
        prompt_lengths: (of train, of val) to mask prompts, or None.
        steps: after which to stop; None for all.
    """
    masks = prompt_lengths or (None, None)

    def loader(sequences, lengths, shuffle):
        def collate(items):
            numbers, entries = zip(*items, strict=True)
            starts = None if lengths is None else [lengths[number] for number in numbers]
            return collate_textbook(entries, pad_token_id, max_length, starts)

        return DataLoader(
            TokenDataset(sequences), batch_size, shuffle, collate_fn=collate, drop_last=shuffle
        )

    train_loader, val_loader = loader(train, masks[0], True), loader(val, masks[1], False)

    def loss_of(inputs, targets):
        logits = logits_of(model, inputs)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def mean_loss(batches_of):
        losses = []
        for number, (inputs, targets) in enumerate(batches_of):
            if number == batches:
                break
            losses.append(loss_of(inputs, targets).item())
        return sum(losses) / len(losses)

    def both_losses():
        with torch.no_grad():
            return mean_loss(train_loader), mean_loss(val_loader)

    trace = Trace()
    torch.manual_seed(seed)
    trace.initial = both_losses()
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    step, tokens_seen = -1, 0
    for epoch in range(epochs):
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = loss_of(inputs, targets)
            loss.backward()
            optimizer.step()
            trace.step_losses.append(loss.item())
            trace.batch_lengths.append(inputs.shape[1])
            tokens_seen += inputs.numel()
            step += 1
            if step % every == 0:
                trace.evaluations.append((step, epoch + 1, tokens_seen, *both_losses()))
            if step + 1 == steps:
                return trace
    return trace


@torch.no_grad()
def generate_textbook(model, prompt, max_new_tokens, end_of_text):
    """Chapter 5's generate, greedy: new token ids without the end-of-text."""
    tokens = list(map(int, prompt))
    for _ in range(max_new_tokens):
        window = torch.tensor([tokens[-model.config.context_length :]])
        token = int(logits_of(model, window)[0, -1].argmax())
        if token == end_of_text:
            break
        tokens.append(token)
    return tokens[len(prompt) :]


class ChapterModel(nn.Module):
    """GPTModel of chapter 4, with its dictionary of settings and its stored causal masks."""

    def __init__(self, cfg):
        super().__init__()
        self.tok_emb = nn.Embedding(cfg["vocab_size"], cfg["emb_dim"])
        self.pos_emb = nn.Embedding(cfg["context_length"], cfg["emb_dim"])
        self.trf_blocks = nn.Sequential(*(ChapterBlock(cfg) for _ in range(cfg["n_layers"])))
        self.final_norm = ChapterNorm(cfg["emb_dim"])
        self.out_head = nn.Linear(cfg["emb_dim"], cfg["vocab_size"], bias=False)

    def forward(self, in_idx):
        x = self.tok_emb(in_idx) + self.pos_emb(torch.arange(in_idx.shape[1], device=in_idx.device))
        return self.out_head(self.final_norm(self.trf_blocks(x)))


class ChapterBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.att = ChapterAttention(cfg)
        self.ff = ChapterFeedForward(cfg["emb_dim"])
        self.norm1 = ChapterNorm(cfg["emb_dim"])
        self.norm2 = ChapterNorm(cfg["emb_dim"])

    def forward(self, x):
        x = x + self.att(self.norm1(x))
        return x + self.ff(self.norm2(x))


class ChapterAttention(nn.Module):
    """Chapter 3's MultiHeadAttention, whose mask is a buffer and so part of the state dict."""

    def __init__(self, cfg):
        super().__init__()
        width, length = cfg["emb_dim"], cfg["context_length"]
        self.num_heads = cfg["n_heads"]
        self.W_query = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.W_key = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.W_value = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.out_proj = nn.Linear(width, width)
        self.register_buffer("mask", torch.triu(torch.ones(length, length), diagonal=1))

    def forward(self, x):
        batch, length, width = x.shape

        def split(y):
            return y.view(batch, length, self.num_heads, -1).transpose(1, 2)

        queries, keys, values = split(self.W_query(x)), split(self.W_key(x)), split(self.W_value(x))
        scores = queries @ keys.transpose(2, 3)
        scores = scores.masked_fill(self.mask.bool()[:length, :length], -torch.inf)
        weights = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1)
        context = (weights @ values).transpose(1, 2).reshape(batch, length, width)
        return self.out_proj(context)


class ChapterFeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        return self.layers(x)


class ChapterNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return self.scale * (x - mean) / torch.sqrt(variance + 1e-5) + self.shift

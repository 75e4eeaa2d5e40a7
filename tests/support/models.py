"""Models of random weights, small enough to compute with in a test."""

import torch

from workflow.lib.model.gpt import GPTConfig, GPTModel

CONFIG = GPTConfig(vocab_size=97, context_length=32, emb_dim=48, n_heads=4, n_layers=3)
END = 96  # the token that ends a text of such a model


def random_model(seed: int = 0, config: GPTConfig = CONFIG) -> GPTModel:
    """Return a model whose weights, biases and scales are all random."""
    torch.manual_seed(seed)
    model = GPTModel(config).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data + 0.1 * torch.randn_like(parameter)
    return model


def random_prompts(lengths: list[int]) -> list[list[int]]:
    """Return prompts of these lengths, without the token END."""
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(96, (n,), generator=generator).tolist() for n in lengths]

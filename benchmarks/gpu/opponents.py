"""What the pipeline is measured against: the chapter's loops, with its model or transformers'.

Both compute padded batches as the chapter does: a step at a time, losses read one by one.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.gpu.bench import Bench
from workflow.lib.settings.recipe import Evaluation, Training


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

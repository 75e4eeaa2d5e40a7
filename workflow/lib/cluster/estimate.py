"""What a job needs of a machine, by model and recipe: memory of a GPU, of the host, and time.

Of P parameters, all float32 (benchmarks/README.md has measured peaks beside these formulas):

    finetuning   16 P: weights, gradients and AdamW's two moments, and a batch's activations
    with LoRA    4 P, 16 for each parameter of the adapters, and a batch's activations
    generating   4 P, keys and values of the texts written at a time, and a group of prompts

Activations are those of the positions computed at a time: batch_size / gradient_accumulation
entries as long as the longest. On a CPU all of it is host memory; beside a GPU the host holds the
model as it is read, or a checkpoint as it is taken up. What depends on the machine is estimated
high.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from workflow.lib.cluster.workload import Workload
from workflow.lib.model.shape import CACHE_BYTES, PROMPT_TOKENS, Shape
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.cluster import JobResources, Limits
from workflow.lib.settings.recipe import Lora, Recipe

MB = 10**6
BASE = 900 * MB  # of Python with torch; the host's
CUDA_GPU, CUDA_HOST = 1_500 * MB, 2_500 * MB  # of CUDA's own: a guess, no GPU was measured
SPARE = 1.15  # for what allocators cannot use

START_MINUTES = 15  # to start, load, write samples and save, on a slow file system too
# Operations a second, all low: a GPU of ten years ago, two processor cores. Generating reads all
# weights for every token, so it reaches a tenth.
RATES = {"gpu": 5e12, "cpu": 5e10}


@dataclass(frozen=True)
class Needs:
    """Of one job: memory of each GPU (0 without one), memory of each host, and time."""

    gpu_mb: int
    mem_mb: int
    minutes: int


def finetune_needs(shape: Shape, recipe: Recipe, data: Workload, device: str = "auto") -> Needs:
    """Of finetuning.

    Args:
        data: of the training split; nothing in it leaves the activations out.
        device: as in config.yaml; all but cpu means a GPU.
    """
    training = recipe.training
    parameters, lora = shape.parameters, training.lora
    learned = shape.adapter_parameters(lora.rank) if lora else parameters
    sequences = ceil(training.batch_size / training.gradient_accumulation / recipe.processes)
    length = min(data.longest, training.max_length, shape.context_length)
    spread = recipe.processes if recipe.sharding != "none" else 1
    state = (4 * parameters + 12 * learned + (4 * learned if lora else 0)) / spread
    working = state + _activations(shape, sequences * length)
    reading = 8 * parameters  # the file and the model made of it, for a moment
    kept = 4 * parameters if training.keep == "best" else 0
    resumed = 12 * learned + 4 * parameters
    steps = training.epochs * (data.entries // training.batch_size)
    share = 2 * recipe.evaluation.batches / recipe.evaluation.every / 3  # forward passes alone
    operations = 6 * parameters * data.tokens * training.epochs * (1 + share) if steps else 0
    return _needs(working, max(reading, resumed) + kept, operations, device, recipe)


def generate_needs(shape: Shape, recipe: Recipe, data: Workload, device: str = "auto") -> Needs:
    """Of answering the test entries; see `finetune_needs`.

    Args:
        data: of the test split, lengths those of the prompts.
    """
    new = recipe.generation.max_new_tokens
    capacity = min(shape.context_length, data.longest + new)
    cache = min(CACHE_BYTES, data.entries * capacity * shape.cache_bytes)
    reading = PROMPT_TOKENS * 4 * 12 * shape.emb_dim + data.entries * 4 * shape.vocab_size
    working = 4 * shape.parameters + cache + reading
    operations = 10 * 2 * shape.parameters * (data.tokens + data.entries * new)
    return _needs(working, 8 * shape.parameters, operations, device, recipe)


def asked_for(needs: Needs, override: JobResources, attempt: int = 1) -> dict[str, int]:
    """What to ask the cluster for: half as much memory and as much time more on every attempt.

    Args:
        override: of the recipe; its values stand in for the formula's on the first attempt.

    Returns:
        mem_mb and runtime, in minutes.
    """
    memory, minutes = override.mem_mb or needs.mem_mb, override.runtime or needs.minutes
    return {"mem_mb": ceil(memory * (1 + 0.5 * (attempt - 1))), "runtime": minutes * attempt}


def refuse_if_too_large(
    what: str, shape: Shape, recipe: Recipe, data: Workload, limits: Limits, device: str = "auto"
) -> None:
    """Refuse a finetuning that no machine of the site holds.

    Args:
        what: the variant, for the message.
        limits: of the site.

    Raises:
        UserError: names what is needed, what there is, and the smallest change that would fit.
    """

    def excess(changed: Recipe) -> str | None:
        needs = finetune_needs(shape, changed, data, device)
        memory = changed.resources.finetune.mem_mb or needs.mem_mb
        most_gpu = (limits.gpu_memory_gb or 0) * 1000
        if device != "cpu" and most_gpu and needs.gpu_mb > most_gpu:
            needed = f"{needs.gpu_mb / 1000:.1f} GB of GPU memory"
            return f"{needed}, limits.gpu_memory_gb is {limits.gpu_memory_gb:g}"
        if limits.mem_mb and memory > limits.mem_mb:
            return f"mem_mb {memory}, limits.mem_mb is {limits.mem_mb}"
        return None

    if (fault := excess(recipe)) is None:
        return
    if recipe.resources.finetune.mem_mb and fault.startswith("mem_mb"):
        raise UserError(f"{what} asks for {fault}; lower resources.finetune.mem_mb of the recipe")
    for change, changed in _changes(recipe):
        if excess(changed) is None:
            raise UserError(f"{what} needs {fault}; it would fit with {change}")
    raise UserError(f"{what} needs {fault}; take a smaller model")


def _activations(shape: Shape, positions: int) -> float:
    """Bytes kept for the backward pass of so many positions at a time.

    A block keeps 17 numbers of its width for each: two norms' inputs and outputs (4), queries,
    keys, values and context (5, laid out as rows), and the wide layer before and after its GELU
    (8). The head keeps logits, their exponentials and the gradient of both.
    """
    return positions * 4 * (17 * shape.n_layers * shape.emb_dim + 3 * shape.vocab_size)


def _needs(working: float, reading: float, operations: float, device: str, recipe: Recipe) -> Needs:
    """From bytes where it computes, bytes of the host before that, and operations in all."""
    where = "cpu" if device == "cpu" else "gpu"
    minutes = START_MINUTES + ceil(operations / RATES[where] / recipe.processes / 60)
    if where == "cpu":
        host = BASE + SPARE * max(working, reading)
        return Needs(0, ceil(recipe.gpus * host / MB), minutes)
    host = BASE + CUDA_HOST + SPARE * reading
    return Needs(ceil((CUDA_GPU + SPARE * working) / MB), ceil(recipe.gpus * host / MB), minutes)


def _changes(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Changes that save memory, the one that changes least first."""
    training = recipe.training
    for parts in range(training.gradient_accumulation + 1, training.batch_size + 1):
        if training.batch_size % parts == 0:
            label = f"training.gradient_accumulation: {parts}"
            yield _with(recipe, label, gradient_accumulation=parts)
    if training.lora is None:
        adapters = Lora(rank=16)
        yield _with(recipe, "training.lora: {rank: 16}", lora=adapters)
        parts = training.batch_size
        yield _with(
            recipe,
            f"training.lora: {{rank: 16}} and training.gradient_accumulation: {parts}",
            lora=adapters,
            gradient_accumulation=parts,
        )
    for gpus in (2, 4, 8):
        if gpus > recipe.gpus:
            yield f"gpus: {gpus}", recipe.model_copy(update={"gpus": gpus})


def _with(recipe: Recipe, label: str, **changes: Any) -> tuple[str, Recipe]:
    """The recipe with other values of its training."""
    training = recipe.training.model_copy(update=changes)
    return label, recipe.model_copy(update={"training": training})

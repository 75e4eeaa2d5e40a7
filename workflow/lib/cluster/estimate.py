"""Estimate of the memory and time that a job needs, by model and recipe.

For P parameters in float32 (benchmarks/README.md compares these formulas with measured peaks):

    finetuning   16 P bytes for weights, gradients and AdamW's two moments; activations
    with LoRA    4 P, 16 for each parameter of the adapters; activations; on a GPU 2 P more for the
                 bfloat16 copies of weights, which are freed where gradients take their place
    generating   4 P, the key-value cache, and the activations of a group of prompts
    exporting    12 P: the file, the model, and the tensors in their layout

Activations are those of one micro-batch: batch_size / gradient_accumulation entries, all as long as
the longest. CUDA graphs take more than that, but only where there is more. With `device: cpu` all
of it is host memory. With a GPU, the host's peak is loading the model or resuming from a
checkpoint. Terms that depend on the machine are estimated high.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

from workflow.lib.cluster.workload import Workload
from workflow.lib.model.shape import CACHE_BYTES, PROMPT_TOKENS, Shape
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.cluster import JobResources, Limits
from workflow.lib.settings.recipe import Lora, Recipe

MB = 10**6
SNAKEMAKE = 350 * MB  # of the two Snakemakes of a submitted job; 342 measured
# Of a process with torch, apart from the model, where there is no GPU: 280 to 340 measured with
# torch for the CPU, 670 to 720 with torch for CUDA, which is PyPI's for Linux.
TORCH_CPU, TORCH_CUDA = 400 * MB, 750 * MB
TENSORFLOW = 1_050 * MB  # of converting the smallest checkpoint; 1,050 measured, two processes
CUDA_GPU = 800 * MB  # of CUDA itself; 722 measured on an H100
CUDA_HOST = 1_500 * MB  # the same on the host: a guess, not measured
SPARE = 1.15  # the margin of every estimate

START_MINUTES = 15  # to start, load, write samples and save, even on a slow file system
# FLOP/s, all low: a GPU of ten years ago, two CPU cores. Generating reads all weights for every
# token, so it reaches a tenth of that.
RATES = {"gpu": 5e12, "cpu": 5e10}


@dataclass(frozen=True)
class Needs:
    """The needs of one job: memory per GPU (0 without one), memory per host, and minutes."""

    gpu_mb: int
    mem_mb: int
    minutes: int


def finetune_needs(shape: Shape, recipe: Recipe, data: Workload, device: str = "auto") -> Needs:
    """Estimate what a finetuning needs.

    Args:
        data: the training split; with UNKNOWN, activations are left out.
        device: as in config.yaml; anything but cpu counts as a GPU.
    """
    training = recipe.training
    parameters, lora = shape.parameters, training.lora
    learned = shape.adapter_parameters(lora.rank) if lora else parameters
    sequences = ceil(training.batch_size / training.gradient_accumulation / recipe.processes)
    length = min(data.longest, training.max_length, shape.context_length)
    spread = recipe.processes if recipe.sharding != "none" else 1
    state = (4 * parameters + 12 * learned + (4 * learned if lora else 0)) / spread
    if device != "cpu":
        state += max(0, 2 * parameters - 4 * learned) / spread
    working = state + _activations(shape, sequences * length)
    loading = 8 * parameters  # the file and the model at once
    kept = 4 * parameters if training.keep == "best" else 0
    resuming = 12 * learned + 4 * parameters
    steps = training.epochs * (data.entries // training.batch_size)
    share = 2 * recipe.evaluation.batches / recipe.evaluation.every / 3  # forward passes only
    flops = 6 * parameters * data.tokens * training.epochs * (1 + share) if steps else 0
    return _needs(working, max(loading, resuming) + kept, flops, device, recipe)


def generate_needs(shape: Shape, recipe: Recipe, data: Workload, device: str = "auto") -> Needs:
    """Estimate what generating the responses to the test entries needs.

    Args:
        data: the prompts of the test split.
        device: as in `finetune_needs`.
    """
    new = recipe.generation.max_new_tokens
    capacity = min(shape.context_length, data.longest + new)
    cache = min(CACHE_BYTES, data.entries * capacity * shape.cache_bytes)
    prompts = PROMPT_TOKENS * 4 * 12 * shape.emb_dim + data.entries * 4 * shape.vocab_size
    working = 4 * shape.parameters + cache + prompts
    flops = 10 * 2 * shape.parameters * (data.tokens + data.entries * new)
    return _needs(working, 8 * shape.parameters, flops, device, recipe)


def convert_needs(size: int) -> Needs:
    """Estimate what converting a base model needs.

    Args:
        size: bytes of its largest file.
    """
    return Needs(0, host_mb(TENSORFLOW + 3 * size), 2 * START_MINUTES)


def export_needs(shape: Shape) -> Needs:
    """Estimate what writing a model for other programs needs."""
    return Needs(0, host_mb(python() + 12 * shape.parameters), 2 * START_MINUTES)


@cache
def python() -> int:
    """Return the bytes of a process with torch, apart from the model, for the build of torch here.

    Where Snakemake's environment has no torch, the jobs' may be either.
    """
    torch = find_spec("torch")  # without importing it
    if not torch or not torch.origin:
        return TORCH_CUDA
    library = Path(torch.origin).with_name("lib") / "libtorch_cuda.so"
    return TORCH_CUDA if library.exists() else TORCH_CPU


def host_mb(processes: float) -> int:
    """Return the memory to request, in MB, for a job whose own processes take so many bytes."""
    return ceil(SPARE * (SNAKEMAKE + processes) / MB)


def asked_for(needs: Needs, override: JobResources, attempt: int = 1) -> dict[str, int]:
    """Return what to request of the cluster; each further attempt requests more.

    Every attempt adds half of the first one's memory and all of its time.

    Args:
        override: the recipe's own values, which replace the estimate.
        attempt: 1 for the first.

    Returns:
        mem_mb, and runtime in minutes.
    """
    memory, minutes = override.mem_mb or needs.mem_mb, override.runtime or needs.minutes
    return {"mem_mb": ceil(memory * (1 + 0.5 * (attempt - 1))), "runtime": minutes * attempt}


def refuse_if_too_large(
    what: str, shape: Shape, recipe: Recipe, data: Workload, limits: Limits, device: str = "auto"
) -> None:
    """Refuse a finetuning that exceeds the limits of the site.

    Args:
        what: the job, for the message.

    Raises:
        UserError: names what is needed, the limit, and the smallest change that would fit.
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
    raise UserError(f"{what} needs {fault}; use a smaller model")


def _activations(shape: Shape, positions: int) -> float:
    """Return the bytes kept for the backward pass of a micro-batch.

    For each position a block keeps 17 times emb_dim numbers: inputs and outputs of two norms (4),
    queries, keys, values and context (5, laid out as rows), and the feed-forward layer before and
    after its GELU (8). The head keeps logits, their exponentials and the gradient of both.
    """
    return positions * 4 * (17 * shape.n_layers * shape.emb_dim + 3 * shape.vocab_size)


def _needs(working: float, loading: float, flops: float, device: str, recipe: Recipe) -> Needs:
    """Convert bytes and FLOPs into a request.

    Args:
        working: bytes on the device that computes.
        loading: bytes of host memory before that.
        flops: of the whole job.
    """
    where = "cpu" if device == "cpu" else "gpu"
    minutes = START_MINUTES + ceil(flops / RATES[where] / recipe.processes / 60)
    each = python() + (max(working, loading) if where == "cpu" else CUDA_HOST + loading)
    starter = python() if recipe.processes > 1 else 0  # torchrun's process, which computes nothing
    host = host_mb(starter + recipe.gpus * each)
    return Needs(0 if where == "cpu" else ceil((CUDA_GPU + SPARE * working) / MB), host, minutes)


def _changes(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield changes that save memory, with a label each, the smallest change first."""
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
    """Return a label and the recipe with other values of its training."""
    training = recipe.training.model_copy(update=changes)
    return label, recipe.model_copy(update={"training": training})

"""What it needs: peak memory and seconds a step of every size, against cluster/estimate.py."""

import gc
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch

from benchmarks.common import NEVER
from benchmarks.gpu.bench import Bench
from benchmarks.memory import HEADS, SIZES, Case, measure
from workflow.lib.cluster.estimate import CUDA_GPU, MB, finetune_needs, generate_needs
from workflow.lib.cluster.workload import Workload
from workflow.lib.generation.generate import generate
from workflow.lib.model.device import make_repeatable, prepare_device, trains_in_bf16
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.lora import add_adapters
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.computing import Computing
from workflow.lib.training.optimizer import make_optimizer

# Small ones first: of the largest, what is learned is whether they fit.
CASES = [
    Case("finetune", "124M"), Case("finetune", "124M", length=256), Case("generate", "124M"),
    Case("finetune", "355M"), Case("finetune", "355M", length=256),
    Case("finetune", "355M", lora_rank=16), Case("generate", "355M"),
    Case("finetune", "774M"), Case("finetune", "774M", length=256),
    Case("finetune", "774M", lora_rank=16),
    Case("finetune", "1558M"), Case("finetune", "1558M", length=256),
    Case("finetune", "1558M", lora_rank=16), Case("generate", "1558M"),

]  # fmt: skip
TINY = [Case("finetune", "nano"), Case("finetune", "nano", lora_rank=2), Case("generate", "nano")]
JOBS = ("124M", "355M")  # whose whole jobs are run too, for the memory of the host
STEPS = 4
PROMPTS = 110  # as many as the chapter answers


def needs(bench: Bench) -> None:
    """Measure each size in a process of its own, so that one that is killed ends no other."""
    cases = TINY if bench.options.tiny else CASES[:3] if bench.options.quick else CASES
    for _, group in groupby(cases, key=lambda case: case.size):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            for case in group:
                what = [case.rule, case.size, f"{case.batch_size} x {case.length}"]
                what += [f"LoRA {case.lora_rank}"] if case.lora_rank else []
                _attempt(bench, " ".join(what), 12, process, _measure, case)
    for size in () if bench.options.quick else ("nano",) if bench.options.tiny else JOBS:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            _attempt(bench, f"job {size}", 40, process, _job, Case("finetune", size))


def _attempt(
    bench: Bench, name: str, seconds: float, process: ProcessPoolExecutor, measured: Any, case: Case
) -> None:
    found = partial(process.submit, measured, case, bench.device.type)
    bench.attempt(name, seconds, lambda: found().result())


def _measure(case: Case, kind: str) -> dict[str, Any]:
    """Return what one case needs on the device; weights are random and made there."""
    device = prepare_device(Computing(device=kind))
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    shape = SIZES[case.size]
    config = GPTConfig(**asdict(shape), n_heads=HEADS[case.size])
    with torch.device("meta"):
        model = GPTModel(config)
    model.to_empty(device="cpu")
    if case.lora_rank:
        add_adapters(model, case.recipe.training.lora, 123)
    model.to(device)
    random = torch.Generator(device).manual_seed(123)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.02, generator=random)
    size = (case.batch_size, case.length + 1)
    tokens = torch.randint(shape.vocab_size, size, generator=torch.Generator().manual_seed(1))
    if case.rule == "generate":
        found = _generated(model, case, tokens.tolist())
        work = Workload(PROMPTS, case.length + 2, PROMPTS * (case.length + 2))
        estimate = generate_needs(shape, case.recipe, work, "cuda")
    else:
        work = Workload(case.batch_size, case.length, case.batch_size * case.length)
        found = _trained(model, case, tokens, device)
        estimate = finetune_needs(shape, case.recipe, work, "cuda")
    found |= {"parameters": shape.parameters, "estimate_gb": round(estimate.gpu_mb / 1000, 2)}
    found["of_it_for_cuda_gb"] = CUDA_GPU / MB / 1000
    return found | _memory(device)


def _trained(model: GPTModel, case: Case, tokens: torch.Tensor, device: torch.device) -> Any:
    make_repeatable(device)
    training = case.recipe.training
    engine = GraphEngine(model, bf16=trains_in_bf16(device, "auto"))
    optimizer, batch = make_optimizer(model, training), (tokens[:, :-1], tokens[:, 1:])
    times: dict[str, list[float]] = {"step": [], "evaluation": []}
    for _ in range(STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        engine.backward(*batch)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        stepped = time.perf_counter()
        engine.losses([batch])  # waits
        times["step"].append(stepped - began)
        times["evaluation"].append(time.perf_counter() - stepped)
    return {f"seconds_a_{what}": round(median(each[1:]), 4) for what, each in times.items()}


def _generated(model: GPTModel, case: Case, prompts: list[list[int]]) -> Any:
    many = [[number, *prompts[number % len(prompts)]] for number in range(PROMPTS)]
    new = case.recipe.generation.max_new_tokens
    list(generate(model, many[:2], 2, NEVER, graphs=True))
    began = time.perf_counter()
    list(generate(model, many, new, NEVER, graphs=True))
    return {"seconds_per_token_of_all": round((time.perf_counter() - began) / new, 4)}


def _memory(device: torch.device) -> dict[str, float]:
    """Return peaks in GB: tensors, what torch reserved, and what CUDA takes beside it."""
    found = {}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        reserved = torch.cuda.memory_reserved()
        found = {
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "beside_torch": total - free - reserved,  # CUDA's own, with nothing else on the card
        }
    return {f"{name}_gb": round(size / 1e9, 3) for name, size in found.items()}


def _job(case: Case, kind: str) -> dict[str, Any]:
    """Return the peaks of a whole finetuning, from files to files."""
    device = prepare_device(Computing(device=kind))
    _, asked = measure(case, device)
    host = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    peaks = {"host_gb": round(host / 1e9, 3), "host_estimate_gb": round(asked / 1e9, 3)}
    return peaks | _memory(device)

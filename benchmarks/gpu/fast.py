"""Is it fast: two epochs with the chapter's evaluations, then the responses, side by side."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.engines import finetune_model, warm_up
from benchmarks.gpu.graphs import GraphEngine, decode_static
from benchmarks.gpu.indexed import IndexedEngine
from benchmarks.gpu.opponents import Chapter, Transformers, finetune_plainly, respond_plainly
from benchmarks.gpu.profile import profile
from workflow.lib.generation.generate import generate
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.device import prepare_device, trains_in_bf16
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation

TEXTBOOK_SECONDS = 25  # of its responses; the rest is extrapolated by tokens
NEVER = -1  # an end of text that no model generates
ENGINES = {"engine": Engine, "engine, indexed": IndexedEngine, "engine, graphs": GraphEngine}
GUESSED = {"engine": 25, "engine, indexed": 25, "engine, graphs": 30}  # seconds


def fast(bench: Bench) -> None:
    """Measure the engines, then the opponents, the textbook last: it takes longest."""
    prepare_device(Computing(device=bench.device.type))
    bf16 = trains_in_bf16(bench.device, "auto")
    quick = bench.options.quick
    epochs, steps = 2, 4 if bench.options.tiny else 60 if quick else None

    def pipeline(kind: type[Engine]) -> dict[str, Any]:
        engine = kind(bench.model(), bf16=bf16)
        warm_up(bench, engine)
        found = finetune_model(bench, engine, epochs, steps, initial=False)
        return found | memory(bench) | {"graphs": len(engine.__dict__.get("graphs", []))}

    def plain(make: Callable[[], Any]) -> dict[str, Any]:
        model, found = make(), []
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        finetune_plainly(model, bench, bf16, 1, 2)  # warms up
        model.load_state_dict(before)
        del before
        memory(bench)
        seconds = bench.seconds(
            lambda: found.extend(finetune_plainly(model, bench, bf16, epochs, steps))
        )
        return {"losses": found, "seconds": round(seconds, 3)} | memory(bench)

    for name, kind in ENGINES.items():
        bench.attempt(f"train: {name}", GUESSED[name], lambda kind=kind: pipeline(kind))
    bench.attempt(
        "train: transformers", 40, lambda: plain(lambda: Transformers(bench.config, bench.device))
    )
    bench.attempt("profile: engine", 15, lambda: _profiled(bench, Engine(bench.model(), bf16=bf16)))
    _decode(bench)
    if not quick:
        bench.attempt(
            "profile: graphs", 15, lambda: _profiled(bench, GraphEngine(bench.model(), bf16=bf16))
        )
        bench.attempt("train: textbook", 60, lambda: plain(lambda: Chapter(bench.model())))
        bench.attempt("respond: textbook", 40, lambda: _textbook_responses(bench))


def memory(bench: Bench) -> dict[str, float]:
    """Return the peak of allocated memory since the last call, in GB."""
    if bench.device.type != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return {"peak_gb": round(peak / 1e9, 2)}


def _profiled(bench: Bench, engine: Engine) -> dict[str, Any]:
    """Profile five steps and an evaluation, after as many that warm up and capture."""
    finetune_model(bench, engine, 1, 6, initial=False)
    return profile(bench, lambda: finetune_model(bench, engine, 1, 5, initial=False))


class Limited:
    """Greedy choices that end each response at a number of tokens."""

    def __init__(self, limits: Sequence[int]) -> None:
        self.left, self.sampler = [*limits], Sampler(Generation())

    def __call__(self, logits: torch.Tensor, numbers: Sequence[int]) -> list[int]:
        tokens = self.sampler(logits, numbers)
        for row, number in enumerate(numbers):
            if not self.left[number]:
                tokens[row] = NEVER
            self.left[number] -= 1
        return tokens


def _decode(bench: Bench) -> None:
    """Answer the test split: as long as the references, and 256 tokens each."""
    prompts, references = bench.data.prompts, bench.data.references
    most = 8 if bench.options.tiny else 256
    limits = [min(most, length) for length in references]
    model = bench.model()
    answers: dict[str, list[list[int]]] = {}

    def engine(limits: Sequence[int]) -> dict[str, Any]:
        list(generate(model, prompts[:2], 2, NEVER))
        found: dict[int, list[int]] = {}
        seconds = bench.seconds(
            lambda: found.update(generate(model, prompts, most, NEVER, Limited(limits)))
        )
        answers["engine"] = [found[number] for number in range(len(prompts))]
        return _told(seconds, limits)

    def static(limits: Sequence[int]) -> dict[str, Any]:
        decode_static(model, prompts[:2], [2, 2])
        seconds = bench.seconds(
            lambda: answers.update(static=decode_static(model, prompts, limits))
        )
        pairs = zip(answers["engine"], answers["static"], strict=True)
        return _told(seconds, limits) | {"same_responses": sum(a == b for a, b in pairs)}

    for name, chosen in (("references", limits), ("256", [most] * len(prompts))):
        bench.attempt(f"respond: engine, {name}", 20, lambda c=chosen: engine(c))
        bench.attempt(f"respond: static, {name}", 20, lambda c=chosen: static(c))

    def transformers(chosen: Sequence[int]) -> dict[str, Any]:
        other = Transformers(bench.config, bench.device).eval()
        other.respond(prompts[:2], 2)
        return _told(bench.seconds(lambda: other.respond(prompts, max(chosen))), chosen)

    bench.attempt("respond: transformers, references", 20, lambda: transformers(limits))
    if not bench.options.quick:
        bench.attempt("respond: transformers, 256", 25, lambda: transformers([most] * len(limits)))


def _textbook_responses(bench: Bench) -> dict[str, Any]:
    limits = [min(256, length) for length in bench.data.references]
    model = Chapter(bench.model())
    respond_plainly(model, bench, [2] * len(limits), lambda: True)
    done: list[int] = []
    ends = time.monotonic() + (1 if bench.options.tiny else TEXTBOOK_SECONDS)
    seconds = bench.seconds(
        lambda: done.append(respond_plainly(model, bench, limits, lambda: time.monotonic() > ends))
    )
    whole = seconds * sum(limits) / done[0]
    return {"seconds": round(whole, 3), "measured_tokens": done[0], "tokens": sum(limits)}


def _told(seconds: float, limits: Sequence[int]) -> dict[str, Any]:
    rate = round(sum(limits) / seconds)
    return {"seconds": round(seconds, 3), "tokens": sum(limits), "tokens_per_second": rate}

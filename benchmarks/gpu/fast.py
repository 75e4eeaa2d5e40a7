"""Is it fast: two epochs with the chapter's evaluations, then the responses, side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.common import NEVER, Limited
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.engines import finetune_model, warm_up
from benchmarks.gpu.graphs import GraphEngine, decode_static
from benchmarks.gpu.indexed import IndexedEngine
from benchmarks.gpu.opponents import finetune_plainly, respond_plainly
from benchmarks.gpu.profile import profile
from benchmarks.opponents import Chapter, Transformers
from workflow.lib.generation.generate import generate
from workflow.lib.model.device import prepare_device, trains_in_bf16
from workflow.lib.parallel.engine import Engine
from workflow.lib.settings.computing import Computing

TEXTBOOK_SECONDS = 25  # of its responses; the rest is extrapolated by tokens


def fast(bench: Bench) -> None:
    """Measure the pipeline and transformers, the graphs, and the textbook, which takes longest.

    A failed capture can leave the device unusable, so the graphs come after what matters more.
    """
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

    bench.attempt("train: engine", 25, lambda: pipeline(Engine))
    bench.attempt("train: indexed", 25, lambda: pipeline(IndexedEngine))
    bench.attempt("train: transformers", 40, lambda: plain(lambda: Transformers(bench.model())))
    bench.attempt("profile: engine", 15, lambda: _profiled(bench, Engine(bench.model(), bf16=bf16)))
    answers = _respond(bench)
    bench.attempt("train: graphs", 30, lambda: pipeline(GraphEngine))
    _respond_static(bench, answers)
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


def _lengths(bench: Bench) -> dict[str, list[int]]:
    """Return how long the responses are to be: as the references, or 256 tokens each."""
    most = 8 if bench.options.tiny else 256
    references = bench.data.references
    return {"references": [min(most, n) for n in references], "256": [most] * len(references)}


def _respond(bench: Bench) -> dict[str, list[list[int]]]:
    """Answer the test split, by the pipeline and by transformers; return the pipeline's tokens."""
    prompts, lengths = bench.data.prompts, _lengths(bench)
    answers: dict[str, list[list[int]]] = {}

    def pipeline(name: str, label: str) -> dict[str, Any]:
        model, limits, found = bench.model(), lengths[name], {}
        list(generate(model, prompts[:2], 2, NEVER))
        sample = Limited(limits)
        seconds = bench.seconds(
            lambda: found.update(generate(model, prompts, max(limits), NEVER, sample))
        )
        answers[label] = [found[number] for number in range(len(prompts))]
        return _told(seconds, limits) | {"ties": len(sample.sampler.ties)}

    def in_tf32(name: str) -> dict[str, Any]:
        torch.set_float32_matmul_precision("high")
        try:
            found = pipeline(name, "in TF32")
        finally:
            torch.set_float32_matmul_precision("highest")
        return found | _same(answers["in TF32"], answers[name])

    def transformers(name: str) -> dict[str, Any]:
        other, limits = Transformers(bench.model()).eval(), lengths[name]
        other.respond(prompts[:2], [2, 2])
        return _told(bench.seconds(lambda: other.respond(prompts, limits)), limits)

    for name in lengths:
        bench.attempt(f"respond: engine, {name}", 20, lambda name=name: pipeline(name, name))
        if name == "references" or not bench.options.quick:
            bench.attempt(f"respond: transformers, {name}", 25, lambda n=name: transformers(n))
    if bench.device.type == "cuda":  # the pipeline computes in float32: what that costs
        bench.attempt("respond: in TF32, references", 20, lambda: in_tf32("references"))
    return answers


def _respond_static(bench: Bench, answers: Mapping[str, list[list[int]]]) -> None:
    """Answer by a captured step, and count the responses that are the pipeline's.

    Two tokens of nearly equal logits may change places.
    """
    prompts = bench.data.prompts

    def static(name: str, limits: Sequence[int]) -> dict[str, Any]:
        model, found = bench.model(), []
        decode_static(model, prompts[:2], [2, 2])
        seconds = bench.seconds(lambda: found.extend(decode_static(model, prompts, limits)))
        return _told(seconds, limits) | _same(found, answers[name])

    for name, limits in _lengths(bench).items():
        bench.attempt(f"respond: static, {name}", 20, lambda n=name, c=limits: static(n, c))


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


def _same(found: Sequence[list[int]], expected: Sequence[list[int]]) -> dict[str, int]:
    """Count the responses that are as expected."""
    return {"same_responses": sum(a == b for a, b in zip(found, expected, strict=True))}


def _told(seconds: float, limits: Sequence[int]) -> dict[str, Any]:
    rate = round(sum(limits) / seconds)
    return {"seconds": round(seconds, 3), "tokens": sum(limits), "tokens_per_second": rate}

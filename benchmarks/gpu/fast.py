"""Is it fast: two epochs with the chapter's evaluations, then the responses, side by side."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.common import NEVER, Limited
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.engines import finetune_model, warm_up
from benchmarks.gpu.opponents import finetune_plainly, respond_plainly
from benchmarks.gpu.profile import profile
from benchmarks.opponents import Chapter, Transformers
from workflow.lib.generation.generate import generate
from workflow.lib.model.device import prepare_device, trains_in_bf16
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.computing import Computing

TEXTBOOK_SECONDS = 25  # of its responses; the rest is extrapolated by tokens


def fast(bench: Bench) -> None:
    """Measure the pipeline and transformers, the pipeline without graphs, and the textbook.

    What matters most comes first; the textbook takes longest.
    """
    prepare_device(Computing(device=bench.device.type))
    bf16 = trains_in_bf16(bench.device, "auto")
    quick = bench.options.quick
    epochs, steps = 2, 4 if bench.options.tiny else 60 if quick else None

    def pipeline(kind: type[Engine]) -> dict[str, Any]:
        engine = kind(bench.model(), bf16=bf16)
        warm_up(bench, engine)
        found = finetune_model(bench, engine, epochs, steps, initial=False)
        captured = len(engine.graphs.captured) if isinstance(engine, GraphEngine) else 0
        return found | memory(bench) | {"graphs": captured}

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

    def profiled(kind: type[Engine]) -> dict[str, Any]:
        return _profiled(bench, kind(bench.model(), bf16=bf16))

    bench.attempt("train: pipeline", 15, lambda: pipeline(GraphEngine))
    bench.attempt("train: transformers", 40, lambda: plain(lambda: Transformers(bench.model())))
    _respond(bench)
    bench.attempt("profile: pipeline", 15, lambda: profiled(GraphEngine))
    if not quick:
        bench.attempt("train: without graphs", 40, lambda: pipeline(Engine))
        bench.attempt("profile: without graphs", 15, lambda: profiled(Engine))
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


def _respond(bench: Bench) -> None:
    """Answer the test split: the pipeline, transformers, and the pipeline without graphs.

    Of the last, the responses are counted that are the pipeline's: two tokens of nearly equal
    logits may change places.
    """
    prompts, lengths = bench.data.prompts, _lengths(bench)
    answers: dict[tuple[str, bool], list[list[int]]] = {}

    def pipeline(name: str, graphs: bool) -> dict[str, Any]:
        model, limits = bench.model(), lengths[name]
        found: dict[int, list[int]] = {}
        list(generate(model, prompts[:2], 4, NEVER, graphs=graphs))
        sample = Limited(limits)
        seconds = bench.seconds(
            lambda: found.update(generate(model, prompts, max(limits), NEVER, sample, graphs))
        )
        answers[name, graphs] = [found[number] for number in range(len(prompts))]
        told = _told(seconds, limits) | {"ties": len(sample.sampler.ties)}
        if graphs or (name, True) not in answers:
            return told
        pairs = zip(answers[name, False], answers[name, True], strict=True)
        return told | {"same_responses": sum(one == other for one, other in pairs)}

    def transformers(name: str) -> dict[str, Any]:
        other, limits = Transformers(bench.model()).eval(), lengths[name]
        other.respond(prompts[:2], [2, 2])
        return _told(bench.seconds(lambda: other.respond(prompts, limits)), limits)

    for name in lengths:
        bench.attempt(f"respond: pipeline, {name}", 20, lambda n=name: pipeline(n, True))
        if name == "references" or not bench.options.quick:
            bench.attempt(f"respond: transformers, {name}", 25, lambda n=name: transformers(n))
            label = f"respond: without graphs, {name}"
            bench.attempt(label, 20, lambda n=name: pipeline(n, False))


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

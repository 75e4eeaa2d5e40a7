"""Is it right: the book recipe's losses on this device against the textbook loop on the CPU."""

import hashlib
from itertools import chain
from typing import Any

import torch

from benchmarks.gpu.bench import Bench, read_results
from benchmarks.gpu.engines import Traced, finetune_model
from tests.support.oracle import finetune_textbook
from workflow.lib.model.device import prepare_device
from workflow.lib.parallel.graph_engine import GraphEngine
from workflow.lib.settings.computing import Computing

STEPS = 20  # of the textbook
FP32, BF16 = 1e-3, 0.02  # the most that losses may differ


def reference(bench: Bench) -> None:
    """Compute the textbook's first steps on the CPU, with all its threads."""

    def textbook() -> dict[str, Any]:
        data, model = bench.data, bench.model(torch.device("cpu"))
        steps = 3 if bench.options.tiny else STEPS
        trace = finetune_textbook(
            model, data.train, data.val, data.tokenizer.eot_token, epochs=1, steps=steps
        )
        losses = [row[3:] for row in trace.evaluations]
        return {"initial": trace.initial, "trace": trace.step_losses, "losses": losses}

    bench.attempt("textbook", 0, textbook)


def right(bench: Bench) -> None:
    """Compare traces; then two epochs in bf16 and in fp32."""
    wanted = read_results(bench.options.out, "reference").get("textbook", {})

    def of(
        precision: str, kind: type[GraphEngine] = GraphEngine, steps: int | None = None
    ) -> dict[str, Any]:
        prepare_device(Computing(device=bench.device.type, precision=precision))
        model = bench.model()
        engine = kind(model, bf16=precision == "bf16")
        found = finetune_model(bench, engine, epochs=2, steps=steps)
        digest = hashlib.sha256()
        for weight in model.state_dict().values():
            digest.update(weight.detach().cpu().numpy().tobytes())
        trace = engine.__dict__.get("trace")
        return found | {"sha256": digest.hexdigest(), "trace": trace}

    def first_steps() -> dict[str, Any]:
        if "trace" not in wanted:
            return {"failed": "no reference: run the stage `reference` first"}
        found = of("fp32", Traced, len(wanted["trace"]))
        apart = difference(wanted, found, ("initial", "trace", "losses"))
        return {"apart": apart, "most": FP32, "right": apart <= FP32, "trace": found["trace"]}

    bench.attempt("fp32 against the textbook", 20, first_steps)
    if not bench.options.quick:
        bench.attempt("two epochs, bf16", 45, lambda: of("bf16"))
        bench.attempt("two epochs again, bf16", 45, lambda: of("bf16"))
        bench.attempt("two epochs, fp32", 60, lambda: of("fp32"))
        done = bench.results
        near, again, exact = (
            done.get(n, {})
            for n in ("two epochs, bf16", "two epochs again, bf16", "two epochs, fp32")
        )
        if "losses" in near and "losses" in exact:
            apart = difference(exact, near, ("initial", "losses"))
            bench.add("bf16 against fp32", apart=apart, most=BF16, right=apart <= BF16)
        if "sha256" in near and "sha256" in again:
            same = near["sha256"] == again["sha256"]
            bench.add("two runs", same_weights=same, right=same)


def difference(one: dict[str, Any], other: dict[str, Any], names: tuple[str, ...]) -> float:
    """Return the largest difference of losses, infinity if there are more of one."""
    most = 0.0
    for name in names:
        a, b = (torch.tensor(list(_flat(run[name]))) for run in (one, other))
        most = max(most, float((a - b).abs().max()) if len(a) == len(b) else float("inf"))
    return most


def _flat(values: Any) -> Any:
    return chain.from_iterable(v if isinstance(v, list | tuple) else [v] for v in values)

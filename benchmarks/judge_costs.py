"""Questions and seconds of each kind of judge, on entries of the small world.

python -m benchmarks.judge_costs

The language model is SmolLM2-135M-Instruct on transformers' server (`make judge-model`), with one
thread, one question at a time and replies of at most 16 tokens. Every second response is the
reference, the others are plainly wrong; pairs are those responses beside "I do not know.".
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import SMALL_WORLD, machine
from tests.support.smollm2 import unpack
from tests.support.transformers_server import serving
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.backends.overlap import Overlap
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.preflight import check_judge
from workflow.lib.settings.judges import JudgeSettings

LOCAL, SERVED, PAIRS = 110, 30, 10  # responses that a judge is given
PAIRWISE = {"kind": "pairwise", "baseline": "other"}


def measure(folder: Path, judge: JudgeSettings, count: int) -> None:
    """Judge some responses, and print what it took."""
    entries = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))[::10][:count]
    texts = {
        "responses": [e["output"] if n % 2 else f"{n} bananas" for n, e in enumerate(entries)],
        "others": ["I do not know."] * count,
    }
    for name, of in texts.items():
        answered = [{**e, "model_response": t} for e, t in zip(entries, of, strict=True)]
        (folder / f"{name}.json").write_text(json.dumps(answered), "utf-8")
    table, answers, usage = (folder / name for name in ("table.csv", "answers.jsonl", "usage.json"))
    answers.unlink(missing_ok=True)
    names: Any = {"model": "-", "recipe": "-", "judge": judge.backend}
    responses = folder / "responses.json"
    started = time.perf_counter()
    if judge.pairwise:
        judge_pairs(responses, folder / "others.json", judge, names, "other", table, answers, usage)
    else:
        judge_responses(responses, judge, names, table, answers, usage)
    seconds = time.perf_counter() - started
    used = json.loads(usage.read_text("utf-8"))
    tokens = f"{used['question_tokens'] or 0} + {used['answer_tokens'] or 0}"
    kind = f"{judge.backend}, {judge.kind}"
    print(f"{kind:17}  {count:9}  {used['answers']:9}  {tokens:>12}  {seconds:7.2f}", flush=True)


def _main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    print(machine())
    print("judge              responses  questions        tokens  seconds")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(folder, Overlap(backend="overlap"), LOCAL)
        measure(folder, Overlap(backend="overlap", **PAIRWISE), LOCAL)
        unpack(folder / "model")
        with serving(folder / "model") as server:
            common: Any = {
                "backend": "openai",
                "model": str(folder / "model"),
                "base_url": server.url,
                "api_key_env": None,
                "options": {"temperature": 0, "seed": 123, "max_tokens": 16},
                "max_unparsed": 1,
                "check": "warn",
            }
            judge = OpenAI(**common)
            started = time.perf_counter()
            check_judge(judge, "check", folder / "check.json")
            seconds = time.perf_counter() - started
            print(f"{'openai, check':17}  {2:9}  {2:9}  {'':12}  {seconds:7.2f}", flush=True)
            measure(folder, judge, SERVED)
            measure(folder, OpenAI(**common, **PAIRWISE), PAIRS)


if __name__ == "__main__":
    _main()

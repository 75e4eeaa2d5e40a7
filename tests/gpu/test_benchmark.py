"""The benchmark runs through without a GPU."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow
def test_the_benchmark_runs_through_on_a_cpu(tmp_path):
    """All but the stage `works`, which runs these tests."""
    stages = ["reference", "right", "fast", "needs"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *stages, "--device", "cpu", "--tiny",
         "--out", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {stage: json.loads((tmp_path / f"{stage}.json").read_text()) for stage in stages}
    parts = {(s, n): part for s in stages for n, part in found[s].items() if isinstance(part, dict)}
    assert not [name for name, part in parts.items() if {"failed", "skipped"} & {*part}]
    assert [name for name, part in found["right"].items() if "right" in str(part)] == [
        "fp32 against the textbook", "bf16 against fp32", "two runs",
    ]  # fmt: skip
    assert all(part["right"] for part in found["right"].values() if "right" in str(part))
    fast = found["fast"]
    assert fast["respond: without graphs, 256"]["same_responses"] == 6
    for name in ("without graphs", "textbook"):
        assert fast[f"train: {name}"]["losses"][0] == pytest.approx(
            fast["train: pipeline"]["losses"][0], abs=1e-4
        )
    assert "two epochs: target 8.0 s" in done.stdout

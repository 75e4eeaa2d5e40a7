"""What takes long to import is imported where it is used: by no dry run, by no other rule."""

import re
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.support.paths import ROOT
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.weights import save_model
from workflow.lib.runtime.files import write_json

SLOW = {
    "torch", "tensorflow", "transformers", "safetensors", "scipy", "matplotlib", "httpx", "ollama",
    "openai", "tiktoken", "rapidfuzz",
}  # fmt: skip
OF_SNAKEMAKE = {"numpy", "pandas", "pyarrow"}  # imported by Snakemake itself


def test_the_rules_import_nothing_slow():
    """What Snakemake imports when it reads them, and what their functions import when called."""
    rules = [*ROOT.glob("workflow/**/*.smk"), *ROOT.glob("workflow/**/Snakefile")]
    imports = [
        " ".join(statement.split())
        for path in [*rules, ROOT / "Snakefile"]
        for statement in re.findall(
            r"^ *((?:from workflow[^(\n]*\([^)]*\))|from workflow[^(\n]*$|import .*)",
            path.read_text("utf-8"),
            re.MULTILINE,
        )
    ]
    assert len(imports) > 20
    assert not (SLOW | OF_SNAKEMAKE) & imported_by(imports)


@pytest.mark.slow
def test_a_dry_run_imports_nothing_slow():
    """The whole of it: Snakemake, the rules and the functions that they call."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "results/scores.csv"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "workflow.lib.settings.load" in imported
    assert not SLOW & imported


def test_only_rules_that_compute_import_torch():
    """And only the one that reads the checkpoint imports tensorflow, and not before it does."""
    computing = {"import_weights.py", "finetune.py", "generate_responses.py", "export_model.py"}
    imports = [
        line
        for path in (ROOT / "workflow/scripts").glob("*.py")
        if path.name not in computing
        for line in path.read_text().splitlines()
        if line.startswith("from workflow")
    ]
    assert len(imports) > 20
    assert not {"torch", "tensorflow"} & imported_by(imports)


def test_tables_are_joined_without_scipy():
    """Importing scipy.stats takes longer than the rest of the job."""
    lines = (ROOT / "workflow/scripts/collect_scores.py").read_text().splitlines()
    assert "scipy" not in imported_by([line for line in lines if line.startswith("from workflow")])


def test_a_model_is_loaded_without_the_compiler(tmp_path):
    """Importing torch's takes as long as importing torch."""
    shape = GPTConfig(vocab_size=9, context_length=8, emb_dim=4, n_heads=2, n_layers=1)
    save_model(GPTModel(shape), tmp_path / "model.pth")
    write_json(tmp_path / "training.json", {"model": asdict(shape)})
    paths = f"Path({str(tmp_path / 'model.pth')!r}), Path({str(tmp_path / 'training.json')!r})"
    load = [
        "from pathlib import Path",
        "from workflow.lib.model.weights import load_trained_model",
        f"load_trained_model({paths})",
    ]
    assert {"torch", "torch._dynamo"} & imported_by(load) == {"torch"}


def imported_by(lines: list[str]) -> set[str]:
    """Return all modules that a new Python holds after these lines."""
    code = "\n".join([*lines, "import sys", "print(*sys.modules)"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())

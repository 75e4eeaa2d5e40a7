"""The house itself: pins agree, nothing slow is imported by the Snakefile, the code is clean."""

import re
import subprocess
import sys
from dataclasses import asdict

import pytest
import yaml

from tests.support.paths import ROOT
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.weights import save_model
from workflow.lib.runtime.files import write_json

ENVS = ROOT / "envs"


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*-?\s*([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["pipeline.yaml", "convert.yaml"])
def test_conda_environments_have_the_pins_of_pip(name):
    environment = yaml.safe_load((ENVS / name).read_text())
    [packages] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    conda, pip = pins("\n".join(packages)), pins((ENVS / "requirements.txt").read_text())
    assert conda
    assert conda.items() <= pip.items()


def test_every_requirement_is_in_one_of_the_conda_environments():
    conda = "".join((ENVS / name).read_text() for name in ("pipeline.yaml", "convert.yaml"))
    required = pins((ENVS / "requirements.txt").read_text()).keys()
    assert required - pins(conda).keys() == {"snakemake"}  # which starts the environments


def test_the_lock_holds_every_requirement():
    lock = {n.lower(): v for n, v in pins((ENVS / "lock.txt").read_text()).items()}
    for name in ("requirements.txt", "requirements-slurm.txt", "requirements-dev.txt"):
        required = pins((ENVS / name).read_text())
        assert {n.lower(): v for n, v in required.items()}.items() <= lock.items()


def test_a_dry_run_imports_nothing_slow():
    """What the rules import when Snakemake reads them."""
    imports = [
        statement
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for statement in re.findall(
            r"^(?:from workflow[^(\n]*\([^)]*\)|from workflow[^(\n]*$|import .*)",
            path.read_text(),
            re.MULTILINE,
        )
    ]
    assert imports
    slow = {"torch", "tensorflow", "pandas", "scipy", "matplotlib", "numpy", "httpx", "ollama",
            "openai", "tiktoken", "transformers"}  # fmt: skip
    assert not slow & imported_by(imports)


def test_only_rules_that_compute_import_torch():
    """And only the one that reads the checkpoint imports tensorflow, and not before it does."""
    computing = {"finetune.py", "generate_responses.py", "export_model.py"}
    imports = [
        line
        for path in (ROOT / "workflow/scripts").glob("*.py")
        if path.name not in computing and not path.name.startswith("small_world")
        for line in path.read_text().splitlines()
        if line.startswith("from workflow")
    ]
    assert len(imports) > 20
    assert not {"torch", "tensorflow"} & imported_by(imports)


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
    """All modules that a new Python holds after these lines."""
    code = "\n".join([*lines, "import sys", "print(*sys.modules)"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow/rules"],
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_code_is_clean(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_and_scripts_stay_small():
    too_long = {
        str(path.relative_to(ROOT)): lines
        for folder, most in (("lib", 300), ("scripts", 25))
        for path in (ROOT / "workflow" / folder).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > most
    }
    assert not too_long


def test_lib_knows_nothing_of_snakemake():
    for path in (ROOT / "workflow/lib").rglob("*.py"):
        assert "import snakemake" not in path.read_text("utf-8"), path
        assert "from snakemake" not in path.read_text("utf-8"), path


def test_the_cluster_profile_keeps_what_the_default_one_sets():
    """Snakemake reads one of them, never both."""
    default, slurm = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())
        for name in ("default", "slurm")
    )
    assert default.items() <= slurm.items()

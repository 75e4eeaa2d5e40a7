"""The house itself: pins agree, nothing slow is imported by the Snakefile, the code is clean."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
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
        line
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if line.startswith(("from workflow", "import "))
    ]
    code = "\n".join([*imports, "import sys", "print(*sys.modules)"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert imports
    slow = {"torch", "tensorflow", "pandas", "scipy", "matplotlib", "numpy", "httpx", "ollama",
            "openai", "tiktoken", "transformers"}  # fmt: skip
    assert not slow & set(done.stdout.split())


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

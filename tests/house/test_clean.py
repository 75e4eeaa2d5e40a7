"""The code is clean: format, lint and types."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow  # `make check` runs most of these beside the tests
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
        ["snakemake", "--lint", "--snakefile", "workflow/small_world/Snakefile"],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_code_is_clean(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The recipes of CONTRIBUTING.md, followed literally, all five in one copy of the project.

Steps are recognized by the sentence before a code block: create a file, append to one, or add lines
after others. Of `make check` what follows are lint and types, the tests that keep the house, those
of what the recipes change, and those that they create.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.pages import Block, blocks
from tests.support.paths import ROOT
from tests.support.project import copy_project

pytestmark = pytest.mark.slow

STEPS = blocks(ROOT / "CONTRIBUTING.md")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """A copy of the project after all steps."""
    folder = tmp_path_factory.mktemp("recipes") / "project"
    copy_project(folder)
    follow(folder)
    return folder


def follow(folder: Path) -> None:
    """Do what the recipes say."""
    after: tuple[Path, str] | None = None
    for step in STEPS:
        if step.file:
            path = folder / step.file
            assert not path.exists(), f"{step.file} is there already"
            assert path.parent.is_dir(), f"{step.file}: no such folder"
            path.write_text(step.body, "utf-8")
        elif found := re.search(r"[Aa]ppend to `([^`]+)`:$", step.lead):
            path = folder / found[1]
            path.write_text(path.read_text("utf-8") + step.body, "utf-8")
        elif found := re.search(r"[Ii]n `([^`]+)`, after$", step.lead):
            after = folder / found[1], step.body
        elif step.lead == "add":
            assert after, f"add what after what? {step.body!r}"
            path, lines = after
            text = path.read_text("utf-8")
            assert text.count(lines) == 1, f"{path}: {text.count(lines)} times {lines!r}"
            path.write_text(text.replace(lines, lines + step.body), "utf-8")
            after = None
        elif step.language == "bash" and "workflow schema >" in step.body:
            [line] = [line for line in step.body.splitlines() if "schema" in line]
            done = run(folder, line)
            assert done.returncode == 0, done.stdout
        else:
            assert step.language in ("bash", "text") or is_config(step), step


def is_config(step: Block) -> bool:
    """Return whether a block is a config of the reader, which test_commands.py reads."""
    return step.language == "yaml" and re.match(r"# \S+\.yaml\n", step.body) is not None


def run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line, shell=True, cwd=folder, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_there_are_five_recipes(followed):
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    recipes = text.partition("## Recipes")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(recipes) == 5
    assert all("make check" in recipe for recipe in recipes)


@pytest.mark.parametrize(
    "check",
    [
        "make lint",
        "make types",
        ".venv/bin/python -m pytest -n 0 {tests}",
        ".venv/bin/python -m pytest -n 0 -m 'not slow' tests/house tests/unit/settings "
        "tests/unit/judge/test_backends.py tests/unit/report/test_page.py",
        ".venv/bin/snakemake --configfile rouge.yaml -n results/scores.csv "
        "results/nano-1M/small-world/words.csv",
    ],
)
def test_the_project_stays_sound(followed, check):
    created = " ".join(s.file for s in STEPS if s.file and s.file.startswith("tests/"))
    done = run(followed, check.format(tests=created))
    assert done.returncode == 0, done.stdout[-4000:]

"""docs/chapter.md: the table from the chapter to the code and to what a run shows."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGE = ROOT / "docs/chapter.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| ")
][1:]
NUMBERS = {
    "listing": {f"7.{n}" for n in range(1, 12)},
    "figure": {f"7.{n}" for n in range(1, 22)},
    "exercise": {f"7.{n}" for n in range(1, 5)},
}
quoted = re.compile(r"`([^`]+)`").findall


def test_each_listing_figure_and_exercise_has_a_row():
    for kind, numbers in NUMBERS.items():
        named = re.compile(rf"{kind}s? ((?:7\.\d+(?:, | and )?)+)").findall
        found = {number for row in ROWS for part in named(row[0]) for number in _numbers(part)}
        assert found == numbers, kind


def _numbers(text: str) -> list[str]:
    return re.findall(r"7\.\d+", text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_function_stands_in_its_file(row):
    pairs = re.findall(r"`(\w+)` in `([\w/]+\.py)`", row[1])
    assert pairs or "Snakefile" in row[1] or "recipe" in row[1]
    for name, path in pairs:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        kinds = (ast.FunctionDef, ast.ClassDef)
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}, path
    recipes = (ROOT / "config.yaml").read_text("utf-8")
    for name in re.findall(r"recipe `([\w-]+)`", row[1]):
        assert re.search(rf"^  {name}:", recipes, re.MULTILINE), name


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_it_points_to_is_there_after_the_default_run(row, default_run):
    project, _ = default_run
    shown = quoted(row[2])
    assert shown
    words = []
    for part in shown:
        if part.startswith(("python ", "snakemake ")):
            line = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n{part}"
            done = subprocess.run(["bash", "-c", line], cwd=project.folder, capture_output=True,
                                  text=True, check=False, timeout=300)  # fmt: skip
            assert done.returncode == 0, f"{part}\n{done.stdout}{done.stderr}"
            assert done.stdout
        elif part.startswith(("results/", "resources/")):
            content = project.path(part).read_bytes()
            assert content
            assert all(word.encode() in content for word in words), part
            words.clear()
        else:
            words.append(part)  # to be found in the file named next

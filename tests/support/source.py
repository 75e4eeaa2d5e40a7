"""The project's own source, as the tests of the house read it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

LIB = ROOT / "workflow/lib"
FOLDERS = (".ci", ".github", "benchmarks", "docs", "envs", "profiles", "tests", "workflow")
# Lowest first: a package may import only itself and what stands before it.
PACKAGES = (
    "runtime", "settings", "data", "tokens", "model", "fast", "parallel", "generation", "training",
    "judge", "report", "export", "cluster", "cli",
)  # fmt: skip


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def text_files(*ends: str) -> list[Path]:
    """Return the files of the project whose names end so, without what runs and tools make."""
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(path for path in paths if path.name.endswith(ends))


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def name_of(path: Path) -> str:
    """Return the path below the project's folder, for a message."""
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, those inside functions too.

    `from a import b` counts as a.b, because b can be a module.
    """
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)

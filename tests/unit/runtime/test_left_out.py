"""Packages whose code is left out of the rerun digest can do no more than they promise.

What they hold changes no result only as long as they deal in text, files and processes alone, and
as long as nothing that counts depends on them for more than that.
"""

import ast
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from workflow.lib.runtime.provenance import LEFT_OUT

TEXT_AND_FILES = {"yaml", "tqdm"}  # third-party
MAY_IMPORT = {
    "workflow/lib/runtime": {"workflow.lib.runtime"} | TEXT_AND_FILES,
    "workflow/lib/parallel/launching": {
        "workflow.lib.runtime",
        "workflow.lib.settings",
        "workflow.lib.parallel.launching",
        "torch.distributed",
    },
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever that stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module} | {n for n in submodules if module_exists(n)}
    return names


def module_exists(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def files_of(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(package: str) -> str:
    return package.replace("/", ".")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_that_is_left_out_imports_nothing_that_could_change_a_result(package):
    files = files_of(package)
    assert files
    for path in files:
        others = {n for n in imports_of(path) if n.split(".")[0] not in sys.stdlib_module_names}
        wrong = {name for name in others if not is_within(name, MAY_IMPORT[package])}
        assert not wrong, path


def test_no_code_that_counts_imports_a_command_or_the_cluster():
    """Only rules and benchmarks do; the rest of lib and the scripts compute without them."""
    hidden = {name_of(package) for package in ("workflow/lib/cli", "workflow/lib/cluster")}
    for path in files_of("workflow/lib", "workflow/scripts", "workflow/small_world"):
        if not any(path.is_relative_to(ROOT / package) for package in LEFT_OUT):
            assert not {n for n in imports_of(path) if is_within(n, hidden)}, path


def test_only_scripts_start_processes():
    launching = {"workflow.lib.parallel.launching"}
    for path in files_of("workflow/lib", "workflow/small_world"):
        if not path.is_relative_to(ROOT / "workflow/lib/parallel/launching"):
            assert not {n for n in imports_of(path) if is_within(n, launching)}, path


def test_every_package_that_is_left_out_is_held_to_its_promise():
    checked = {*MAY_IMPORT, "workflow/lib/cli", "workflow/lib/cluster"}
    assert set(LEFT_OUT) == checked

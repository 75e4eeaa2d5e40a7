"""Where things stand: small modules, packages that introduce themselves, tests beside them."""

import ast
import re
from collections import defaultdict

import pytest

from tests.support.paths import ROOT
from tests.support.source import LIB, PACKAGES, name_of, parsed, python_files

INITS = sorted(LIB.rglob("__init__.py"))


def test_modules_and_scripts_stay_small():
    too_long = {}
    for path in python_files("workflow"):
        most = 25 if path.parent.name == "scripts" else 300
        if (lines := len(path.read_text("utf-8").splitlines())) > most:
            too_long[name_of(path)] = lines
    assert not too_long


def test_lib_holds_the_known_packages_and_no_module_beside_them():
    folders = {path.name for path in LIB.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders == set(PACKAGES)
    assert [path.name for path in LIB.glob("*.py")] == ["__init__.py"]


def test_every_folder_of_code_is_a_package():
    """A folder without __init__.py is imported all the same, and tells nobody what it holds."""
    folders = {path.parent for path in python_files("workflow/lib")}
    assert folders == {path.parent for path in INITS}


@pytest.mark.parametrize("path", INITS, ids=name_of)
def test_a_package_is_introduced_and_runs_nothing(path):
    """One docstring: what comes in, what goes out and which file to open first."""
    tree = parsed(path)
    introduction = ast.get_docstring(tree)
    assert len(tree.body) == 1 and introduction, "one docstring and nothing else"
    assert len(introduction.splitlines()) <= 8
    if path.parent != LIB:
        files = re.findall(r"`([\w/]+\.py)`", introduction)
        there = [(path.parent / file).exists() or (ROOT / file).exists() for file in files]
        assert any(there), "say which file to open first"


def test_tests_mirror_the_packages():
    """A newcomer finds the tests of a package under its name."""
    folders = {path.parent.name for path in (ROOT / "tests/unit").glob("*/test_*.py")}
    assert folders == {*PACKAGES, "small_world"}


def test_rules_files_do_not_replace_each_others_names():
    """Snakemake reads them all into one namespace, where the last definition of a name counts."""
    defined = re.compile(r"^(?:def|class|rule|checkpoint) (\w+)|^(\w+) = ", re.MULTILINE)
    files = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    found = defaultdict(list)
    for file in files:
        for match in defined.finditer(file.read_text()):
            found[match[1] or match[2]].append(file.name)
    assert len(found) > 100
    assert {name: names for name, names in found.items() if len(set(names)) > 1} == {}

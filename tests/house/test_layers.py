"""Who imports whom: packages those below them, no test another test."""

import re

from tests.support.source import LIB, PACKAGES, imports_of, name_of, python_files

ALONE = {"settings": {"runtime"}, "runtime": set()}  # packages that import less than is below them


def package_of(name: str) -> str | None:
    """Return the package of lib that a dotted name lies in, if it lies in one."""
    found = re.match(r"workflow\.lib\.(\w+)", name)
    return found[1] if found else None


def found_in(folder: str, *refused: str) -> list[str]:
    """Return the imports below a folder that lie in one of the modules."""
    return [
        f"{name_of(path)}:{line} imports {name}"
        for path in python_files(folder)
        for line, name in imports_of(path)
        if any(f"{name}.".startswith(f"{module}.") for module in refused)
    ]


def test_packages_import_only_those_below_them():
    """In the order of PACKAGES."""
    upwards, seen = [], set()
    for path in python_files("workflow/lib"):
        own = path.relative_to(LIB).parts[0]
        if own not in PACKAGES:
            continue
        below = ALONE.get(own, set(PACKAGES[: PACKAGES.index(own)]))
        for line, name in imports_of(path):
            package = package_of(name)
            seen.add((own, package))
            if package and package not in {own, *below}:
                upwards.append(f"{name_of(path)}:{line} imports {name}")
    assert ("cli", "generation") in seen  # the search finds what is there
    assert not upwards


def test_imports_are_absolute():
    """The digest of a rule's code follows no other."""
    relative = [
        f"{name_of(path)}:{line} imports {name}"
        for path in python_files("workflow", "tests", "benchmarks")
        for line, name in imports_of(path)
        if name.startswith(".")
    ]
    assert not relative


def test_lib_knows_nothing_of_snakemake_nor_of_the_small_world():
    outside = ("snakemake", "workflow.small_world", "workflow.scripts")
    assert not found_in("workflow/lib", *outside)


def test_the_report_knows_no_backend_of_a_judge():
    assert not found_in("workflow/lib/report", "workflow.lib.judge.backends")


def test_tests_share_by_way_of_support_and_fixtures():
    """A test module imports no other, and what tests share imports no test."""
    found = [
        f"{name_of(path)}:{line} imports {name}"
        for path in python_files("tests")
        for line, name in imports_of(path)
        if name.startswith("tests.") and not name.startswith("tests.support.")
    ]
    assert not found

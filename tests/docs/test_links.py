"""Links of the documentation lead somewhere, names are in the code, metadata agrees."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.support.pages import PAGES, blocks, prose
from tests.support.paths import ROOT

ALL_PAGES = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"]
# Folders whose files are named in text; results/ and resources/ are made by runs.
NAMED = re.compile(r"`((?:workflow|tests|docs|envs|profiles|benchmarks)/[\w./-]+)`")
FIND_IN = re.compile(r"`(\w+)`\s+in\s+`([\w/]+\.py)`")

page = pytest.mark.parametrize("page", ALL_PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@page
def test_every_file_named_exists(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("names files that are no more")
    created = {block.file for block in blocks(page)}
    for name in NAMED.findall(prose(page)):
        assert name in created or (ROOT / name).exists(), name


def test_every_claim_about_clusters_names_a_test_that_exists():
    text = prose(ROOT / "docs/cluster.md")
    table = text.partition("| claim | test |\n|---|---|\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) > 10
    for line in table.splitlines():
        _, claim, named, _ = (cell.strip() for cell in line.split("|"))
        match = re.fullmatch(r"`(tests/[\w/]+/test_\w+\.py)(?:::(test_\w+))?`", named)
        assert claim and match, line
        tree = ast.parse((ROOT / match[1]).read_text("utf-8"))
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not match[2] or match[2] in tests, line


@page
def test_every_function_named_with_its_file_is_there(page):
    for name, path in FIND_IN.findall(page.read_text("utf-8")):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        defined = (ast.FunctionDef, ast.ClassDef)
        names = {node.name for node in ast.walk(tree) if isinstance(node, defined)}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert name in names | used, f"{name} in {path}"


def test_every_page_of_the_documentation_is_linked_from_the_readme():
    linked = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in linked, path.name


def test_the_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def texts_of_the_code() -> str:
    """Every text in the code, the changing parts of f-strings as an ellipsis."""
    found = []
    for path in (ROOT / "workflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_every_error_line_quoted_is_one_that_the_code_writes():
    """Each literal part of a line stands in some text of the code."""
    code = texts_of_the_code()
    page = ROOT / "docs/troubleshooting.md"
    lines = [line for b in blocks(page) if b.language == "error" for line in b.body.splitlines()]
    assert len(lines) > 10
    for line in lines:
        for part in re.sub("^(error: )?(judge …: )?", "", line).split("…"):
            assert part.strip() in code, f"{part!r} of {line!r}"


def test_hosted_checks_run_what_the_makefile_has():
    """GitHub's workflow, which cannot be run here, is at least read, and its make targets exist."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text("utf-8"))
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML reads `on` as true
    jobs = workflow["jobs"]
    assert jobs["check"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    runs = "\n".join(step["run"] for step in steps if "run" in step)
    targets = set(re.findall(r"^([\w/.-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M))
    made = set(re.findall(r"\bmake (\w+)", runs))
    assert made == {"check", "scores"}
    assert made <= targets
    for stamp in re.findall(r"\.venv/ready[\w-]*", runs):
        assert stamp in targets, stamp
    for path in re.findall(r"envs/[\w.-]+", runs):
        assert (ROOT / path).is_file(), path


def test_the_hooks_of_pre_commit_are_programs_that_the_lock_pins():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    lock = (ROOT / "envs/lock.txt").read_text("utf-8")
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "snakefmt", "mypy"}
    for hook in hooks:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert re.search(rf"^{program}==", lock, re.MULTILINE), program
        assert hook["language"] == "system"

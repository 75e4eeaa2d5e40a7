"""A backend is one file, found by its name; nothing else in the project knows one by name."""

import ast
import re
import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from tests.support.paths import ROOT
from workflow.lib.judge.backend import LocalBackend, ServerBackend, open_backend
from workflow.lib.settings import judges
from workflow.lib.settings.judges import Judge, ServerJudge, backend_names, settings_class

WORKFLOW = ROOT / "workflow"
NAMED = backend_names()


def known_elsewhere() -> set[str]:
    """Files of the workflow that know a backend by name, in code or in a template."""
    classes = {settings_class(name).__name__ for name in NAMED}
    classes |= {f"{name}Backend" for name in classes}
    literal = re.compile(rf"""(?<![\w-])["']?\b({"|".join(NAMED)})["']|backends[./](?!_)""")
    found = set()
    for path in WORKFLOW.rglob("*"):
        if path.is_relative_to(WORKFLOW / "lib/judge/backends"):
            continue
        text = path.read_text("utf-8") if path.suffix in (".py", ".smk", ".j2") else ""
        if path.suffix != ".py":
            hit = bool(literal.search(text))
        else:
            hit = any(
                (isinstance(node, ast.Name) and node.id in classes)
                or (isinstance(node, ast.Constant) and node.value in NAMED)
                or (isinstance(node, ast.ImportFrom) and "judge.backends" in (node.module or ""))
                for node in ast.walk(ast.parse(text))
            )
        if hit:
            found.add(path.relative_to(ROOT).as_posix())
    return found


def test_nothing_else_names_a_backend():
    # common.smk makes the path of the chosen backend's file, for its digest.
    assert known_elsewhere() <= {"workflow/rules/common.smk"}
    smk = (WORKFLOW / "rules/common.smk").read_text("utf-8")
    assert not re.search("|".join(NAMED), smk)


@pytest.mark.parametrize("name", NAMED)
def test_a_file_holds_settings_of_its_name_and_one_implementation(name):
    found = settings_class(name)
    assert found.__module__ == f"{judges.BACKENDS}.{name}"
    values = {"backend": name, **({"model": "m"} if found.needs_server else {})}
    judge = TypeAdapter(Judge).validate_python(values)
    assert type(judge) is found
    assert judge.label
    assert bool(judge.note) != judge.needs_server


def test_the_files_of_the_folder_are_the_backends():
    files = {path.stem for path in (WORKFLOW / "lib/judge/backends").glob("*.py")}
    assert files == {*NAMED, "__init__"}
    assert {"ollama", "openai", "overlap"} <= set(NAMED)


def test_reading_the_judges_imports_no_client():
    """Nor what sends requests: config.yaml is read by every start of Snakemake."""
    code = (
        "import sys, yaml\n"
        "from workflow.lib.settings.load import load_settings\n"
        "load_settings(yaml.safe_load(open('config.yaml', encoding='utf-8')))\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {f"{judges.BACKENDS}.{name}" for name in ("ollama", "openai", "overlap")} <= loaded
    assert not loaded & {"httpx", "ollama", "openai", "tenacity", "torch", "numpy", "pandas"}


def test_only_backends_that_are_named_are_imported():
    code = (
        "import sys\n"
        "from pydantic import TypeAdapter\n"
        "from workflow.lib.settings.judges import Judge\n"
        "TypeAdapter(Judge).validate_python({'backend': 'overlap'})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {m for m in done.stdout.split() if m.startswith(f"{judges.BACKENDS}.")}
    assert loaded == {f"{judges.BACKENDS}.overlap"}


@pytest.mark.parametrize("name", ["__init__", "../identity", "identity", "", 7, None, ["ollama"]])
def test_only_files_of_the_folder_are_backends(name):
    with pytest.raises(ValueError, match="unknown backend"):
        settings_class(name)


def test_a_file_with_two_judges_is_refused(tmp_path, monkeypatch):
    text = (ROOT / "tests/support/parrot_judge.py").read_text("utf-8")
    (tmp_path / "two_birds.py").write_text(f"{text}\n\nclass Second(Parrot):\n    pass\n")
    (tmp_path / "no_birds.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="two_birds should hold one class derived from ServerJudge,"
                       " not Parrot, Second"):  # fmt: skip
        judges.class_in_backend("two_birds", ServerJudge)
    with pytest.raises(TypeError, match=r"no_birds should hold one class .* not none"):
        judges.class_in_backend("no_birds", ServerJudge)


def test_a_judge_is_opened_as_its_file_says():
    read = TypeAdapter(Judge).validate_python
    assert isinstance(open_backend(read({"backend": "overlap"}), "mine"), LocalBackend)
    backend = open_backend(read({"backend": "ollama", "model": "llama3"}), "mine")
    assert isinstance(backend, ServerBackend)
    assert backend.address == "http://localhost:11434"
    backend.close()


def test_labels_say_who_judges():
    read = TypeAdapter(Judge).validate_python
    overlap = read({"backend": "overlap"})
    assert overlap.label == "reference-overlap score, not an LLM's judgment"
    assert overlap.note == "reference overlap, not an LLM"
    for name in ("ollama", "openai"):
        judge = read({"backend": name, "model": "llama3"})
        assert judge.label == "the judgment of llama3, a language model"
        assert judge.note == ""

"""The digest of a script's code changes with what it does, and only with that."""

import shutil

import pytest

from tests.support.paths import ROOT
from workflow.lib.runtime import provenance

SCRIPT = "workflow/scripts/run.py"


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A script that imports `near`, which imports `far` inside a function; `other` stands apart."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    files = {
        SCRIPT: "from workflow.lib.near import f\n\nf()\n",
        "workflow/lib/near.py": "def f():\n    from workflow.lib import far\n    far.g()\n",
        "workflow/lib/far.py": '"""About g."""\n\n\ndef g():\n    """Say one."""\n    return 1\n',
        "workflow/lib/other.py": "x = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def digest(name=None, old="", new=""):
        if name:
            path = tmp_path / name
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        provenance._read.cache_clear()
        return provenance.code_digest(SCRIPT)

    return digest


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SCRIPT, "f()", "f(), f()"),
        ("workflow/lib/near.py", "far.g()", "far.g(), 2"),
        ("workflow/lib/far.py", "return 1", "return 2"),
    ],
)
def test_changed_code_changes_the_digest(code, name, old, new):
    assert code() != code(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("workflow/lib/far.py", "return 1", "# why\n    return 1  # so"),
        ("workflow/lib/far.py", "Say one.", "Say 1."),
        ("workflow/lib/far.py", "About g.", "On g."),
        ("workflow/lib/far.py", "return 1", "return (\n        1\n    )"),
        ("workflow/lib/other.py", "x = 1", "x = 2"),
    ],
    ids=["comment", "docstring", "module docstring", "layout", "other module"],
)
def test_what_changes_nothing_keeps_the_digest(code, name, old, new):
    assert code() == code(name, old, new)


def test_a_copy_elsewhere_has_the_same_digest(tmp_path, monkeypatch):
    here = provenance.code_digest("workflow/scripts/finetune.py")
    shutil.copytree(ROOT / "workflow/lib", tmp_path / "workflow/lib")
    shutil.copytree(ROOT / "workflow/scripts", tmp_path / "workflow/scripts")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.code_digest("workflow/scripts/finetune.py") == here


@pytest.mark.parametrize("script", sorted((ROOT / "workflow/scripts").glob("*.py")), ids=str)
def test_every_script_is_digested_by_the_rule_that_runs_it(script):
    """A rule that forgot its digest would not rerun after a change of its code."""
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    runs = rules.count(f"../scripts/{script.name}")
    assert runs > 0
    assert rules.count(f'code_digest("workflow/scripts/{script.name}")') == runs

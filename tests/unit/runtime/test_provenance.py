"""The digest of a script's code changes with what it does, and only with that."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from workflow.lib.runtime import provenance
from workflow.lib.runtime.errors import UserError

SCRIPT = "workflow/scripts/run.py"


class Code:
    """A script that imports `near`, which imports `far` inside a function; `other` stands apart."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(SCRIPT, "from workflow.lib.near import f\n\nf()\n")
        self.write("workflow/lib/__init__.py", '"""Lib."""\n')
        self.write("workflow/lib/runtime/say.py", "log = 1\n")
        self.write(
            "workflow/lib/near.py",
            "def f():\n    from workflow.lib import far\n"
            "    from workflow.lib.runtime.say import log\n    far.g(log)\n",
        )
        self.write(
            "workflow/lib/far.py",
            '"""About g."""\n\n\ndef g():\n    """Say one."""\n    return 1\n',
        )
        self.write("workflow/lib/other.py", "x = 1\n")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def __call__(
        self, name: str = "", old: str = "", new: str = "", more: Sequence[str] = ()
    ) -> str:
        """Return the digest after a replacement in one file."""
        if name:
            text = (self.root / name).read_text()
            assert old in text
            self.write(name, text.replace(old, new))
        provenance._read.cache_clear()
        return provenance.code_digest(SCRIPT, *more)


@pytest.fixture
def code(tmp_path, monkeypatch) -> Code:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return Code(tmp_path)


LEFT_OUT = "workflow/lib/runtime/say.py"
NEAR, FAR = "workflow/lib/near.py", "workflow/lib/far.py"
TEXTS = """from pydantic import Field
from workflow.lib.runtime.say import log

LIMIT: int = Field(3, description="how many")


def check(x, names):
    log.info("checking %s", x)
    log.info("seen %d", len(x))
    if x > 3:
        raise ValueError(f"{x}: too large; take {LIMIT}")
    if x < 0:
        raise ValueError("; ".join(["too small", *names]))
    if x == 3:
        raise Again(x * 2, names["more"])
    log.append("more")
    return f"{x} is fine"
"""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SCRIPT, "f()", "f(), f()"),
        (NEAR, "far.g(log)", "far.g(log), 2"),
        (FAR, "return 1", "return 2"),
        ("workflow/lib/__init__.py", '"""Lib."""', '"""Lib."""\n\nx = 1'),
        (NEAR, "from workflow.lib import far", "from workflow.lib import other as far"),
    ],
    ids=["script", "imported", "imported by that", "package", "other module of that name"],
)
def test_changed_code_changes_the_digest(code, name, old, new):
    assert code() != code(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (FAR, "return 1", "# why\n    return 1  # so"),
        (FAR, "Say one.", "Say 1."),
        (FAR, "About g.", "On g."),
        (FAR, "return 1", "return (\n        1\n    )"),
        ("workflow/lib/__init__.py", "Lib.", "The lib."),
        ("workflow/lib/other.py", "x = 1", "x = 2"),
        (LEFT_OUT, "log = 1", "log = 2"),
    ],
    ids=["comment", "docstring", "module docstring", "layout", "package docstring",
         "other module", "package that is left out"],
)  # fmt: skip
def test_what_changes_nothing_keeps_the_digest(code, name, old, new):
    assert code() == code(name, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("checking %s", "looking at %s"),
        ('log.info("checking %s", x)', 'log.info("checking %s of %s", x, LIMIT)'),
        ('    log.info("checking %s", x)\n', ""),
        ("seen %d", "%d seen"),
        ("too large; take {LIMIT}", "above {LIMIT}, found in {names}"),
        ('f"{x}: too large; take {LIMIT}"', '"too large"'),
        ("too small", "below zero"),
        ("how many", "the number of them"),
    ],
)
def test_texts_that_are_only_read_keep_the_digest(code, old, new):
    code.write(FAR, TEXTS)
    assert code() == code(FAR, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("is fine", "is good"),  # a result
        ('log.append("more")', 'log.append("less")'),  # a list of that name
        ("Field(3", "Field(4"),
        ("raise ValueError(f", "raise KeyError(f"),
        ("if x > 3", "if x > 4"),
        ("len(x)", "next(x)"),  # a call can do something
        ("{x}: too", "{next(x)}: too"),
        ("x * 2", "x * 3"),  # an exception that carries a value
        ('names["more"]', 'names["less"]'),
        ("*names]", "*set(names)]"),
    ],
)
def test_values_beside_such_texts_change_the_digest(code, old, new):
    code.write(FAR, TEXTS)
    assert code() != code(FAR, old, new)


def test_a_moved_module_keeps_the_digest(code):
    """Its imports are adapted, and so sorted in another way; its package has a docstring."""
    code.write(FAR, "from workflow.lib.near import f\nfrom workflow.lib.other import x\n\nf(x)\n")
    before = code()
    code.write("workflow/lib/sub/__init__.py", '"""Sub."""\n')
    code.write("workflow/lib/a/b.py", "x = 1\n")
    code.write("workflow/lib/sub/far.py", "from workflow.lib.a.b import x\n"
               "from workflow.lib.near import f\n\nf(x)\n")  # fmt: skip
    code.remove(FAR)
    code.remove("workflow/lib/other.py")
    assert before == code(NEAR, "from workflow.lib import far", "from workflow.lib.sub import far")


def test_a_name_from_another_module_changes_the_digest(code):
    """Even if both modules are imported before and after."""
    code.write("workflow/lib/a.py", "def g():\n    return 1\n")
    code.write("workflow/lib/b.py", "def g():\n    return 2\n")
    code.write(FAR, "from workflow.lib.a import g\nfrom workflow.lib.b import g as other\n\ng()\n")
    swapped = "from workflow.lib.b import g\nfrom workflow.lib.a import g as other\n\ng()\n"
    assert code() != code(FAR, (code.root / FAR).read_text(), swapped)


def test_a_file_that_is_named_beside_the_script_counts(code):
    alone = code()
    assert alone != code(more=["workflow/lib/other.py"])
    assert code(more=["workflow/lib/other.py"]) != code(
        "workflow/lib/other.py", "x = 1", "x = 2", more=["workflow/lib/other.py"]
    )


@pytest.mark.parametrize(
    "line", ["from . import far", "from .far import g", "import workflow.lib.far"]
)
def test_an_import_that_could_not_be_followed_is_refused(code, line):
    code.write(NEAR, f"x = 1\n\n{line}\n")
    with pytest.raises(UserError) as raised:
        code()
    assert str(raised.value).startswith(f"{code.root / NEAR}, line 3: ")
    assert "\n" not in str(raised.value)
    assert "write `from workflow.lib.package.module import name`" in str(raised.value)


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
    digested = rf'code=.*(?:code_digest|judge_code)\("workflow/scripts/{script.name}"'
    digests = re.findall(digested, rules)
    assert len(digests) == runs


KEPT = "code.json"


def test_a_kept_file_changes_no_digest(code, tmp_path, monkeypatch):
    """Neither what it holds of earlier content nor of a module's imports."""
    monkeypatch.setattr(provenance, "_kept", [])
    plain, changed = code(), code(FAR, "return 1", "return 2")
    assert code(FAR, "return 2", "return 1") == plain
    provenance.keep_in(tmp_path / KEPT)
    assert code() == plain
    provenance.keep_in(tmp_path / KEPT)
    assert (tmp_path / KEPT).exists() and code() == plain
    assert code(FAR, "return 1", "return 2") == changed
    assert code(FAR, "return 2", "return 1") == plain
    code.remove(FAR)  # `far` is now looked for in the package
    without = code()
    provenance._kept.clear()
    assert code() == without != plain


def test_a_kept_file_spares_the_parsing(code, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_kept", [])
    provenance.keep_in(tmp_path / KEPT)
    plain = code()
    monkeypatch.setattr(provenance, "_counted", None)
    provenance.keep_in(tmp_path / KEPT)
    assert code() == plain


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept[: len(kept) // 2],
        lambda kept: kept.replace("0", "1"),
        lambda kept: "",
        lambda kept: "[]\n[]",
    ],
)
def test_a_damaged_kept_file_is_made_again(code, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(provenance, "_kept", [])
    provenance.keep_in(tmp_path / KEPT)
    plain = code()
    whole = (tmp_path / KEPT).read_text()
    (tmp_path / KEPT).write_text(damage(whole))
    provenance.keep_in(tmp_path / KEPT)
    assert code() == plain
    assert (tmp_path / KEPT).read_text() == whole


def test_what_another_version_kept_is_not_used(code, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_kept", [])
    provenance.keep_in(tmp_path / KEPT)
    code()
    with monkeypatch.context() as patched:
        patched.setattr(provenance.sys, "version", "3.99")
        provenance.keep_in(tmp_path / KEPT)
    assert provenance._kept[0]._values == {}


def test_a_folder_that_cannot_be_written_keeps_nothing(code, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_kept", [])
    plain = code()
    (tmp_path / "folder" / KEPT).mkdir(parents=True)  # nor can a file in place of a folder
    for file in (tmp_path / "folder" / KEPT, tmp_path / "none" / KEPT, tmp_path / SCRIPT / KEPT):
        provenance.keep_in(file)
        assert code() == plain
    assert not (tmp_path / "none").exists()

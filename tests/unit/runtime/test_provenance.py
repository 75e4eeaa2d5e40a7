"""The digest of a script's code changes with what it does, and only with that."""

import json
import os
import re
import shutil
import subprocess
import sys
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


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(provenance, "_kept", provenance.Kept())
    (tmp_path / ".snakemake").mkdir()
    return tmp_path / ".snakemake/code.json"


def test_a_kept_file_changes_no_digest(code, kept):
    """Neither by what it holds of a module's earlier content nor of where imports lead."""
    plain, changed = code(), code(FAR, "return 1", "return 2")
    assert code(FAR, "return 2", "return 1") == plain != changed
    for _ in range(2):  # without the file and with it
        provenance.keep_in(kept)
        assert code() == plain
        assert code(FAR, "return 1", "return 2") == changed
        assert code(FAR, "return 2", "return 1") == plain
    assert kept.exists()
    code.remove(FAR)  # `far` is then a name in the package
    without = code()
    provenance.keep_in(kept.with_name("another.json"))
    assert code() == without != plain


def test_a_change_counts_even_with_the_size_and_time_of_the_kept_file(code, kept):
    provenance.keep_in(kept)
    plain, before = code(), (code.root / FAR).stat()
    changed = (code.root / FAR).read_text().replace("return 1", "return 2")
    (code.root / FAR).write_text(changed)
    os.utime(code.root / FAR, ns=(before.st_atime_ns, before.st_mtime_ns))
    provenance.keep_in(kept)
    assert code() != plain


def test_a_kept_file_spares_the_parsing(code, kept, monkeypatch):
    provenance.keep_in(kept)
    plain = code()
    monkeypatch.setattr(provenance, "_counted", None)
    provenance.keep_in(kept)
    assert code() == plain


def test_a_refused_import_is_refused_in_every_run(code, kept):
    for _ in range(2):
        provenance.keep_in(kept)
        code.write(FAR, "from . import near\n")
        with pytest.raises(UserError, match="relative import"):
            code()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0", "1"),
        lambda text: "",
        lambda text: "[]\n[]",
    ],
)
def test_a_damaged_kept_file_is_made_again(code, kept, damage):
    provenance.keep_in(kept)
    plain = code()
    whole = kept.read_text()
    kept.write_text(damage(whole))
    provenance.keep_in(kept)
    assert code() == plain
    assert kept.read_text() == whole


def test_what_another_version_kept_is_not_used(code, kept, monkeypatch):
    provenance.keep_in(kept)
    plain, whole = code(), kept.read_text()
    counted = json.loads(whole.partition("\n")[2])["values"]
    monkeypatch.setattr(provenance.sys, "version", "3.99")
    provenance.keep_in(kept)
    assert not any(map(provenance._kept.get, counted))
    assert code() == plain
    assert kept.read_text() != whole


def test_a_folder_that_cannot_be_written_keeps_nothing(code, kept):
    plain = code()
    kept.mkdir()  # nor can a file in the place of a folder
    for file in (kept, code.root / "none/code.json", code.root / SCRIPT / "code.json"):
        provenance.keep_in(file)
        assert code() == plain
    assert not (code.root / "none").exists()


def test_two_runs_that_write_at_once_leave_a_whole_file(code, kept):
    plain = code()
    digest = (
        "import sys; from pathlib import Path; from workflow.lib.runtime import provenance as p;"
        "p.ROOT = Path(sys.argv[1]); script = sys.argv[2];\n"
        "for _ in range(30):\n"
        "    p.keep_in(Path(sys.argv[3])); p._read.cache_clear(); print(p.code_digest(script))\n"
        "    p._kept.add('more', 1); p._kept.save()"
    )
    command = [sys.executable, "-c", digest, code.root, SCRIPT, kept]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    assert [set(run.communicate()[0].split()) for run in runs] == [{plain}] * 2
    provenance.keep_in(kept)
    assert provenance._kept.get("more") == 1
    assert not list(kept.parent.glob("*unfinished"))

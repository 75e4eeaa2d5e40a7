"""Which code a script runs, as a digest: what decides whether a rule must run again.

Snakemake sees a changed script but not a changed module behind it. Each rule therefore carries this
digest as a param. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HAVE_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(script: str | Path) -> str:
    """Digest of a script and of the workflow modules that it imports, directly or not.

    Args:
        script: path of the file, absolute or from the root of the repository.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(_reachable((ROOT / script).resolve())):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(_meaning(path).encode())
    return digest.hexdigest()[:16]


def _reachable(start: Path) -> set[Path]:
    """The file itself and everything of this repository that it imports."""
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of the workflow package that one file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    files = set()
    for name in names:
        if name.split(".")[0] == "workflow":
            module = ROOT.joinpath(*name.split("."))
            files.update(p for p in (module.with_suffix(".py"), module / "__init__.py"))
    return tuple(path for path in files if path.is_file())


@cache
def _meaning(path: Path) -> str:
    """The file's syntax tree as text, without docstrings."""
    tree = _tree(path)
    for node in ast.walk(tree):
        if isinstance(node, _HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))

"""Which code a script runs, as a digest: what decides whether a rule must run again.

Snakemake sees a changed script but not a changed module behind it. Each rule therefore carries this
digest as a param. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
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
        digest.update(_read(path)[1])
    return digest.hexdigest()[:16]


def _reachable(start: Path) -> set[Path]:
    """The file itself and everything of this repository that it imports."""
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _read(path)[0]
    return found


@cache
def _read(path: Path) -> tuple[tuple[Path, ...], bytes]:
    """What one file says.

    Returns:
        the files of the workflow package that it imports, wherever the import stands, and a digest
        of its syntax tree without docstrings.
    """
    tree = ast.parse(path.read_text("utf-8"), str(path))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, _HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    files = set()
    for name in names:
        if name.split(".")[0] == "workflow":
            module = ROOT.joinpath(*name.split("."))
            files.update(p for p in (module.with_suffix(".py"), module / "__init__.py"))
    imported = tuple(file for file in files if file.is_file())
    return imported, hashlib.sha256(ast.dump(tree).encode()).digest()

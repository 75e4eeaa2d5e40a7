"""A digest of the code that a script's result depends on; when it changes, the rule runs again.

Snakemake sees a changed script but not a changed module behind it. Each rule therefore carries this
digest as a param. It covers the syntax tree of every module, except

- comments, docstrings and layout, and the descriptions of settings;
- texts in log calls and `raise` statements, and the values shown in them. A call among those values
  counts, because it may have effects; so does a text that is built in another statement;
- paths: an import counts as the content of the imported module, so moving a module changes nothing.

Whole packages whose code cannot change a result are left out (`LEFT_OUT`).
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.kept import Kept

ROOT = Path(__file__).resolve().parents[3]
# tests/unit/runtime/test_left_out.py limits their imports, so that they cannot change results.
LEFT_OUT = (
    "workflow/lib/runtime",
    "workflow/lib/cli",
    "workflow/lib/cluster",
    "workflow/lib/parallel/launching",
)
_LOG_METHODS = ("debug", "info", "warning", "error")
_CAN_DO_SOMETHING = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)


def code_digest(script: str | Path, *more_files: str | Path) -> str:
    """Return a digest of a script and of the workflow modules that it imports, directly or not.

    Args:
        script: path of the file, absolute or from the root of the repository.
        more_files: modules that the script imports by a name from the settings.

    Returns:
        16 hexadecimal digits, the same wherever the repository lies.

    Raises:
        UserError: a module imports in a way that is not followed; names file and line.
    """
    waiting, found = [(ROOT / file).resolve() for file in (script, *more_files)], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _packages_of(path)
            waiting += (imported.file for imported in _read(path).imports)
    digests = sorted(_digest_of(_read(path)) for path in found if not _read(path).is_empty)
    _kept.save()
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


_kept = Kept()  # what `_counted` returns, by the digest of a module's whole content


def keep_in(file: Path) -> None:
    """Keep what counts of each module in a file, so that the next run parses only changed modules.

    What was kept by another version of Python or of this file is not used.
    """
    global _kept
    version = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
    _kept = Kept(file, version)


@dataclass(frozen=True)
class _Import:
    """An imported name, what the importing module calls it, and the file that defines it."""

    name: str
    called: str
    file: Path


@dataclass(frozen=True)
class _Module:
    """What counts of a module: a digest of its code, and its imports of workflow modules."""

    code: bytes
    imports: tuple[_Import, ...]
    is_empty: bool


def _digest_of(module: _Module) -> bytes:
    """Return a digest of a module's code and of the code of the modules that it imports."""
    imports = sorted((_read(i.file).code.hex(), i.name, i.called) for i in module.imports)
    return hashlib.sha256(module.code + repr(imports).encode()).digest()


@cache
def _read(path: Path) -> _Module:
    """Read one file."""
    source = path.read_bytes()
    key = hashlib.sha256(source).hexdigest()
    counted = _kept.get(key)
    if counted is None:
        counted = _counted(source, path)
        _kept.add(key, counted)
    code, has_body, names = counted
    # Which file defines a name is looked up in each run, because it depends on other files.
    found = [
        (_file_of(f"{module}.{name}") or _file_of(module), name, n) for module, name, n in names
    ]
    imports = tuple(_Import(name, called, file) for file, name, called in found if file)
    return _Module(bytes.fromhex(code), imports, not has_body and not imports)


def _counted(source: bytes, path: Path) -> tuple[str, bool, list[tuple[str, str, str]]]:
    """Return what counts of one module, whatever other modules contain.

    Returns:
        The digest of its code, whether there is any code, and its imports from `workflow`: module,
        name in that module, what it is called here.
    """
    counted = _Counted(path)
    tree = counted.visit(ast.parse(source, str(path)))
    code = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return code, bool(tree.body), counted.imports


class _Counted(ast.NodeTransformer):
    """Removes what does not count from a module's syntax tree, and collects its imports."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.imports: list[tuple[str, str, str]] = []  # as `_counted` returns them

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if node.level:
            raise self._refused(node, "a relative import")
        if node.module is None or node.module.split(".")[0] != "workflow":
            return node
        for alias in node.names:
            self.imports.append((node.module, alias.name, alias.asname or alias.name))
        return None

    def visit_Import(self, node: ast.Import) -> ast.Import:
        if any(alias.name.split(".")[0] == "workflow" for alias in node.names):
            raise self._refused(node, f"`{ast.unparse(node)}`")
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant):  # a docstring
            return None
        if _is_log_call(node.value):
            return [ast.Expr(call) for call in _calls_in(ast.iter_child_nodes(node.value))]
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call):
            texts = [arg for arg in node.exc.args if _is_text(arg)]
            values = [_WithoutTexts().visit(arg) for arg in node.exc.args if not _is_text(arg)]
            node.exc.args = [*_calls_in(texts), *values]
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [k for k in node.keywords if k.arg != "description"]
        return node

    def _refused(self, node: ast.stmt, what: str) -> UserError:
        return UserError(
            f"{self.path}, line {node.lineno}: the rerun digest cannot follow {what}; "
            "write `from workflow.lib.package.module import name`"
        )


class _WithoutTexts(ast.NodeTransformer):
    """Empties the string literals of an expression, except in subscripts and comparisons."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        self.generic_visit(node)
        return ast.JoinedStr([v for v in node.values if not isinstance(v, ast.Constant)])


def _is_text(node: ast.expr) -> bool:
    """Return whether an expression is a string literal, filled in or not."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_log_call(node: ast.expr) -> bool:
    """Return whether an expression is a call such as `log.info(...)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _LOG_METHODS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    )


def _calls_in(nodes: Iterable[ast.AST]) -> Iterator[Any]:
    """Yield the outermost calls inside expressions, without their texts."""
    for node in nodes:
        if isinstance(node, _CAN_DO_SOMETHING):
            yield _WithoutTexts().visit(node)
        else:
            yield from _calls_in(ast.iter_child_nodes(node))


def _file_of(module: str) -> Path | None:
    """Return the file of a module; None if there is none, or its code is left out."""
    path = ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            left_out = any(path.is_relative_to(ROOT / package) for package in LEFT_OUT)
            return None if left_out else file
    return None


def _packages_of(path: Path) -> Iterator[Path]:
    """Yield the `__init__.py` of the packages that a file is in, which are executed before it."""
    for folder in path.parents:
        if folder == ROOT or not (folder / "__init__.py").is_file():
            return
        yield folder / "__init__.py"

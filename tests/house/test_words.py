"""How things are said: docstrings that open with a verb, American spelling, commands that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source import name_of, parsed, python_files, text_files

# What ruff's D401 lets pass.
NO_VERB = {
    "a", "all", "an", "as", "both", "by", "each", "every", "everything", "from", "how", "in", "its",
    "no", "not", "of", "on", "one", "only", "same", "such", "that", "the", "these", "this", "those",
    "what", "when", "where", "whether", "which", "who", "with", "without",
}  # fmt: skip
# British by their stem, whatever the ending.
BRITISH = re.compile(
    r"\b\w*("
    r"(optim|summar|token|normal|initial|serial|organ|recogn|general|special|minim|maxim|real"
    r"|parallel|random|synchron|util|custom|visual|standard|categor|memor|penal)is(e|ed|es|er|ers"
    r"|ing|ation|ations)"
    r"|colour|behaviour|neighbour|favour|honour|labour|rumour"
    r"|grey(s|ed|ish)?\b|centre[ds]?\b|metre|licence|artefact|catalogue|programme[ds]?\b"
    r"|analys(e|ed|es|ing)\b|(label|model|travel|signal)l(ed|ing|er)\b|whilst|fulfil\b"
    r")\w*",
    re.IGNORECASE,
)
# The words of the embedded data set, and the list above.

NOT_OURS = {
    "workflow/small_world/words.yaml", "workflow/small_world/facts.py", "tests/house/test_words.py",
}  # fmt: skip
WRITTEN = (".py", ".smk", ".md", ".rst", ".yaml", ".yml", ".toml", ".j2", ".cff", "Snakefile",
           "Makefile", "run")  # fmt: skip


def functions_of(path: Path) -> Iterator[ast.FunctionDef]:
    """Yield functions and methods, properties left out."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds = [ast.unparse(decorator) for decorator in node.decorator_list]
            if not any("property" in kind for kind in kinds):
                yield node


def test_docstrings_of_functions_open_with_a_verb():
    fragments = [
        f"{name_of(path)}:{node.lineno} {node.name}: {docstring.splitlines()[0]}"
        for path in python_files("workflow", "benchmarks", "tests/support")
        for node in functions_of(path)
        if (docstring := ast.get_docstring(node)) and opens_without_verb(docstring)
    ]
    assert not fragments, "\n".join(fragments)


def test_so_do_those_of_functions_in_rules():
    """Which are no Python that could be parsed."""
    fragments = [
        f"{name_of(path)}: {docstring}"
        for path in text_files(".smk", "Snakefile")
        for docstring in re.findall(
            r'def \w+\([^)]*\)[^:\n]*:\n\s+"""([^"\n]+)', path.read_text("utf-8")
        )
        if opens_without_verb(docstring)
    ]
    assert not fragments, "\n".join(fragments)


def opens_without_verb(docstring: str) -> bool:
    """Return whether the first word is known for no verb."""
    return re.split(r"\W", docstring.strip(), maxsplit=1)[0].lower() in NO_VERB


@pytest.mark.parametrize("word", ["a", "A function", "The sum.", "What's left."])
def test_a_fragment_is_noticed(word):
    assert opens_without_verb(word)
    assert not opens_without_verb("Return " + word)


def test_spelling_is_american():
    found = [
        f"{name_of(path)}:{number} {match[0]}"
        for path in text_files(*WRITTEN)
        if name_of(path) not in NOT_OURS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in BRITISH.finditer(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("summarise", "summarize"), ("Tokenisation", "Tokenization"), ("colours", "colors"),
        ("optimiser", "optimistic"), ("grey", "greyhound"), ("modelling", "modeling"),
    ],
)  # fmt: skip
def test_british_spelling_is_noticed(british, american):
    assert BRITISH.search(f"to {british} it")
    assert not BRITISH.search(f"to {american} it")


def test_programs_are_called_by_their_one_name():
    """`python -m workflow chat`; how processes start each other is no program for people."""
    inner = ("workflow/lib/parallel/launching/", "CHANGELOG.md", "tests/house/test_words.py")
    found = [
        f"{name_of(path)}:{number} {line.strip()}"
        for path in text_files(*WRITTEN)
        if not name_of(path).startswith(inner)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"-m\W+workflow\.lib\.", line)
    ]
    assert not found, "\n".join(found)

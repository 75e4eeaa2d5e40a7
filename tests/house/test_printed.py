"""Texts reach the terminal by two doors, which keep control sequences and keys out."""

import ast

from tests.support.source import LIB, name_of, parsed, python_files

# Each passes what it prints through `printable`.
DOORS = {
    "workflow/lib/runtime/log.py": {"StreamHandler", "FileHandler"},
    "workflow/lib/cli/console.py": {"SafeConsole"},
    "workflow/lib/cluster/earlier_jobs.py": {"print"},
    "workflow/lib/cluster/generic_jobs.py": {"print"},
}
MAKERS = {"StreamHandler", "FileHandler", "basicConfig", "Console", "SafeConsole"}
PRINTERS = {"print", "sys.stdout.write", "sys.stderr.write"}


def calls(path):
    """Yield the name of every function called in a file, as it is written."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def test_nothing_opens_a_door_of_its_own():
    found = []
    for path in python_files("workflow/lib"):
        doors = DOORS.get(name_of(path), set())
        if path.is_relative_to(LIB / "cli"):
            doors = doors | {"print"}  # made safe by run_program
        for node, name in calls(path):
            maker = name.rpartition(".")[2]
            if (maker in MAKERS or name in PRINTERS) and maker not in doors:
                found.append(f"{name_of(path)}:{node.lineno}: {name}")
    assert not found


def test_what_is_written_to_a_console_directly_is_printable():
    for path in python_files("workflow/lib/cli"):
        for node, name in calls(path):
            if name.endswith(("console.file.write", "console.file.writelines")):
                [text] = map(ast.unparse, node.args)
                assert text.startswith("printable("), f"{name_of(path)}:{node.lineno}"

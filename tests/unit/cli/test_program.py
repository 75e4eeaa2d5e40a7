"""`python -m workflow`: one program, whose commands are imported only when they are called."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import pytest

from tests.support.finished_variant import make_project
from tests.support.paths import ROOT
from workflow.__main__ import COMMANDS
from workflow.lib.cli.program import Parser
from workflow.lib.runtime.version import VERSION
from workflow.lib.settings.schema import config_schema

PROGRAM = [sys.executable, "-m", "workflow"]


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the program."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]], ids=str)
def test_help_names_every_command(arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    for name, summary in COMMANDS.items():
        assert f"  {name:9} {summary}\n" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_its_arguments_and_an_example(name):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: python -m workflow {name} ")
    assert f"  python -m workflow {name}" in out.partition("\nexample")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_of_a_command_is_explained(name, monkeypatch):
    parsers = []

    def remember(parser, arguments):
        parsers.append(parser)
        parser.exit()

    monkeypatch.setattr(Parser, "parse_args", remember)
    with pytest.raises(SystemExit):
        import_module(f"workflow.lib.cli.{name}").main([])
    [parser] = parsers
    assert all(action.help for action in parser._actions)


def test_version():
    assert run("--version") == (0, f"{VERSION}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chta"], "unknown command 'chta'; did you mean chat?"),
        (
            ["xyz"],
            "unknown command 'xyz'; there are: archive, chat, check, quality, results, schema, "
            "show",
        ),
        (["schema", "more"], "unrecognized arguments: more; see --help"),
        (["quality"], "the following arguments are required: DATASET; see --help"),
    ],
    ids=str,
)
def test_wrong_arguments_are_one_line(arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.endswith(f"{said}\n")
    assert err.count("\n") == 1


def test_an_error_of_a_command_is_one_line_too(tmp_path):
    code, out, err = run("chat", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path} is not a finished variant")
    assert err.count("\n") == 1


def imported(*arguments: str) -> set[str]:
    """Modules that a run of the program imports, by name."""
    code = (
        "import atexit, runpy, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        f"sys.argv[1:] = {list(arguments)!r}; runpy.run_module('workflow', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


HEAVY = {"torch", "numpy", "tensorflow", "pandas", "tiktoken", "rich", "rapidfuzz"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=str)
def test_help_imports_no_command_and_nothing_heavy(arguments):
    found = imported(*arguments)
    assert "workflow.lib.cli.program" in found
    assert not (HEAVY | {"pydantic"} | {f"workflow.lib.cli.{name}" for name in COMMANDS}) & found


def test_the_schema_is_printed_without_anything_heavy():
    found = imported("schema")
    assert "workflow.lib.cli.schema" in found
    assert not (HEAVY | {"workflow.lib.cli.chat"}) & found
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == config_schema()


def test_the_environment_is_prepared_before_torch_is_imported():
    """By then it would be too late."""
    code = (
        "import builtins, os, sys\n"
        "imports, seen = builtins.__import__, []\n"
        "def spy(name, *rest):\n"
        "    if name == 'torch' and not seen:\n"
        "        seen.append(os.environ.get('OMP_WAIT_POLICY'))\n"
        "    return imports(name, *rest)\n"
        "builtins.__import__ = spy\n"
        "sys.argv[1:] = ['show', '--help']\n"
        "from workflow.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(*seen, file=sys.stderr)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.split() == ["passive"]


def test_a_reader_that_closes_the_pipe_ends_it_quietly():
    command = " ".join(PROGRAM)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} schema | head -n 1"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_control_c_ends_a_conversation_through_a_pipe_without_a_traceback(tmp_path):
    variant = make_project(tmp_path)
    child = subprocess.Popen(
        [*PROGRAM, "chat", str(variant), "--max-new-tokens", "3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=ROOT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    child.stdin.write("Hi\n")
    child.stdin.flush()
    assert child.stdout.readline() == "> Hi\n"
    child.stdout.readline()
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")


def test_what_is_printed_cannot_steer_the_terminal():
    """Neither a command's own lines nor its errors, which may quote a data set or a model."""
    code = (
        "import sys; from workflow.lib.cli.program import run_program;"
        "from workflow.lib.runtime.errors import UserError\n"
        "def program():\n"
        "    print('\\x1b]0;title\\x07', 'a\\tb\\nc')\n"
        "    print('\\u202e', file=sys.stderr)\n"
        "    raise UserError('\\x9b31m')\n"
        "run_program(program)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert done.stdout == "\\x1b]0;title\\x07 a\tb\nc\n"
    assert done.stderr == "\\u202e\nerror: \\x9b31m\n"

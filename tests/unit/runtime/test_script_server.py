"""Scripts in forks of one process behave as each in a Python of its own, and import once."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.paths import ROOT
from workflow.lib.runtime.script_server import ONE_THREAD, ScriptServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="used on Linux only")


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path}")
    server = ScriptServer()
    yield server
    server.end()


@pytest.fixture
def run(server, tmp_path):
    """A function that runs lines of Python as a script and returns its status and what it wrote."""

    def run(lines, **environment):
        script, output = tmp_path / "script.py", tmp_path / "output"
        script.write_text("from pathlib import Path\n" + dedent(lines))
        output.unlink(missing_ok=True)
        code = server.run(str(script), {"OUTPUT": str(output), **environment})
        return code, output.read_text() if output.exists() else ""

    run.server = server
    return run


WRITE = "import os\nPath(os.environ['OUTPUT']).write_text(str({}))"


def written(run, expression, **environment):
    code, text = run(WRITE.format(expression), **environment)
    assert code == 0
    return text


def test_a_script_runs_as_a_file_does(run, tmp_path):
    shown = "(__name__, __file__, __import__('sys').argv, __import__('sys').path[0])"
    script = str(tmp_path / "script.py")
    assert written(run, shown) == str(("__main__", script, [script], str(tmp_path)))


def test_a_script_has_its_own_variables(run):
    assert written(run, "os.environ['TMPDIR']", TMPDIR="/one") == "/one"
    assert written(run, "os.environ['TMPDIR']", TMPDIR="/other") == "/other"


def test_a_script_has_its_own_folder_for_temporary_files(run, tmp_path):
    """Importing torch asks for that of the server, which Python then keeps."""
    (tmp_path / "asking.py").write_text("import tempfile\nfolder = tempfile.gettempdir()")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    for folder in ("one", "other"):
        lines = "from asking import folder\nimport tempfile\n"
        lines += WRITE.format("tempfile.gettempdir()")
        code, asked = run(lines, TMPDIR=str(tmp_path / folder))
        assert (code, asked) == (0, str(tmp_path / folder))


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('words')", 1),
        ("1 / 0", 1),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
    ],
)
def test_the_status_of_a_script_is_that_of_its_process(run, lines, code):
    assert run(lines)[0] == code


def test_signals_reach_a_script_as_in_a_python_of_its_own(run):
    handlers = "__import__('signal').getsignal(2), __import__('signal').getsignal(15)"
    assert written(run, f"[*map(str, ({handlers}))]") == str(
        [str(signal.default_int_handler), str(signal.SIG_DFL)]
    )


def test_what_one_script_imports_is_there_for_the_next(run):
    loaded = "'workflow.lib.data.words' in __import__('sys').modules"
    assert written(run, loaded) == "False"
    assert run("from workflow.lib.data.words import word_pattern")[0] == 0
    assert written(run, loaded) == "True"


def test_what_one_script_changes_is_unknown_to_the_next(run):
    changed = "import workflow.lib.runtime.names as names\nnames.changed = True"
    assert run(f"from workflow.lib.runtime.names import choose\n{changed}")[0] == 0
    assert (
        written(run, "hasattr(__import__('sys').modules['workflow.lib.runtime.names'], 'changed')")
        == "False"
    )


def test_an_import_that_fails_fails_in_the_script_alone(run, capfd):
    code, _ = run("from workflow.lib.runtime.nowhere import nothing")
    assert code == 1
    assert "No module named 'workflow.lib.runtime.nowhere'" in capfd.readouterr().err
    assert run("")[0] == 0


def test_a_script_that_python_cannot_read_fails_alone_and_says_why(run, capfd):
    assert run("if")[0] == 1
    assert "SyntaxError: invalid syntax" in capfd.readouterr().err
    assert run("")[0] == 0


def test_an_import_that_ends_python_ends_the_script_alone(run, tmp_path):
    (tmp_path / "ending.py").write_text("raise SystemExit(7)")
    assert run("from ending import nothing")[0] == 7
    assert run("")[0] == 0


def test_half_an_import_is_not_repeated_in_the_script(run, tmp_path, capfd):
    """Some modules fail differently the second time, and the first error is the one to report."""
    (tmp_path / "once.py").write_text(
        "import sys\nassert not hasattr(sys, 'second'), 'second'\nsys.second = 1\n1 / 0"
    )
    assert run("from once import nothing")[0] == 1
    errors = capfd.readouterr().err
    assert "ZeroDivisionError" in errors
    assert "AssertionError" not in errors


def test_a_script_whose_import_starts_a_thread_has_a_python_of_its_own(run, tmp_path):
    (tmp_path / "threaded.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "alive = threading.active_count"
    )
    code, count = run(f"from threaded import alive\n{WRITE.format('alive()')}", WORD="one")
    assert (code, count) == (0, "2")
    shown = "(__name__, __import__('sys').argv, os.environ['WORD'])"
    script = str(tmp_path / "script.py")
    assert written(run, shown, WORD="other") == str(("__main__", [script], "other"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_of_a_script_ends_it(run, tmp_path, number):
    (tmp_path / "signaled.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\nx = 1")
    began = f"Path({str(tmp_path / 'began')!r}).touch()"
    assert run(f"from signaled import x\n{began}")[0] == -number
    assert not (tmp_path / "began").exists()
    assert run(began)[0] == 0  # which was asked for later


def test_what_an_import_prints_is_printed_once(run, tmp_path, capfd):
    (tmp_path / "printing.py").write_text("print('imported')\nx = 1")
    assert [run("from printing import x")[0] for _ in range(3)] == [0, 0, 0]
    run.server.end()
    assert capfd.readouterr().out == "imported\n"


def test_scripts_run_side_by_side(server, tmp_path):
    waits, ends = tmp_path / "waits.py", tmp_path / "ends.py"
    waits.write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'there')!r}).exists(): time.sleep(0.01)"
    )
    ends.write_text(f"open({str(tmp_path / 'there')!r}, 'w').close()")
    with ThreadPoolExecutor() as pool:
        codes = [pool.submit(server.run, str(script), {}) for script in (waits, ends)]
        assert [code.result(timeout=60) for code in codes] == [0, 0]


def test_a_server_that_was_killed_is_started_again(run):
    own = int(written(run, "os.getppid()"))
    server = int(written(run, "open(f'/proc/{os.getppid()}/stat').read().split()[3]"))
    assert own != server
    os.kill(server, signal.SIGKILL)
    while Path(f"/proc/{server}/fd/0").exists():
        time.sleep(0.01)
    assert run("")[0] == 0
    waiting = "import os; os.kill(os.getppid(), 9)"
    assert run(waiting)[0] == -signal.SIGKILL


def test_the_server_ends_with_its_client(tmp_path):
    (tmp_path / "script.py").write_text("import os\nprint(os.getppid())")
    code = (
        "from workflow.lib.runtime.script_server import ScriptServer\n"
        f"raise SystemExit(ScriptServer().run({str(tmp_path / 'script.py')!r}, dict()))"
    )
    # Returns once no process has the output open any more.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout


def test_no_script_imports_a_library_that_starts_threads():
    """A fork has none of them, and may wait for ever for a lock that one of them holds."""
    code = (
        "from pathlib import Path\n"
        "from workflow.lib.runtime.script_server import import_modules_of\n"
        "import os\n"
        "for script in Path('workflow/scripts').glob('*.py'): import_modules_of(script)\n"
        "import sys; assert 'torch' in sys.modules and 'scipy' in sys.modules\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | ONE_THREAD,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"

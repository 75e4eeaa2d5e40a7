"""Errors end a script in one line, in its log file and on stderr; defects show their traceback."""

import errno
import subprocess
import sys
import textwrap

import pytest

from tests.support.paths import ROOT
from workflow.lib.runtime.errors import FINAL, HAS_ATTEMPTS, PassingError, UserError
from workflow.lib.runtime.log import log, progress_bar, rule_log


def run(path, error=None):
    with rule_log(path):
        log.info("working")
        if error:
            raise error


def test_lines_go_to_the_file_and_to_stderr(tmp_path, capfd):
    path = tmp_path / "logs" / "generate" / "small" / "book.log"
    run(path)
    assert path.read_text() == "generate small book\nworking\n"
    assert capfd.readouterr().err == "generate small book\nsmall/book | working\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no such thing; do this"), "error: no such thing; do this"),
        (KeyboardInterrupt(), "error: interrupted; run the same command again to go on"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/y"),
            "error: no space left on the disk: /x/y; free some and run again",
        ),
        (
            PermissionError(errno.EACCES, "denied", "/x"),
            "error: Permission denied: /x; change its permissions or its owner",
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            "error: CUDA out of memory. Tried to allocate 2 GiB; lower batch_size or max_length, "
            "raise gradient_accumulation, or use a smaller model",
        ),
    ],
)
def test_what_a_user_can_put_right_is_one_line(tmp_path, capfd, error, line):
    with pytest.raises(SystemExit) as raised:
        run(tmp_path / "x.log", error)
    assert raised.value.code != 0
    printed = capfd.readouterr().err
    assert printed.splitlines()[-1] == line
    assert "Traceback" not in printed
    assert (tmp_path / "x.log").read_text() == printed


REFUSED = """
import sys
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.log import rule_log
def refuse():
    raise UserError("ana trains here")
with rule_log(sys.argv[1], refuse):
    print("not refused")
"""


def test_the_log_of_a_run_that_is_at_work_is_kept_by_one_that_is_refused(tmp_path):
    """Also where Snakemake has deleted it; the refused one appends its error."""
    path = tmp_path / "logs" / "finetune" / "small" / "book.log"
    with rule_log(path, lambda: None):
        log.info("Step 1")
        path.unlink()
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", REFUSED, path], cwd=ROOT,
                                  capture_output=True, text=True, check=False)  # fmt: skip
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == "error: ana trains here\n"
        log.info("Step 2")
        expected = "finetune small book\nStep 1\n" + 2 * "error: ana trains here\n" + "Step 2\n"
        assert path.read_text() == expected
        path.unlink()
    assert path.read_text() == expected
    assert [*path.parent.iterdir()] == [path]


def test_a_run_that_is_not_refused_begins_a_new_log(tmp_path):
    """After one that was killed, too, which leaves a link to its own."""
    path = tmp_path / "logs" / "finetune" / "small" / "book.log"
    path.parent.mkdir(parents=True)
    path.with_name(".book.log.spare").write_text("finetune small book\nkilled\n")
    with rule_log(path, lambda: None):
        pass
    assert path.read_text() == "finetune small book\n"
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("error", [UserError("wrong"), PassingError("lost"), MemoryError("none")])
@pytest.mark.parametrize("attempts", [True, False])
def test_only_a_mistake_says_that_no_attempt_helps(tmp_path, capfd, monkeypatch, error, attempts):
    """In the log alone, for the run that may try the job again."""
    if attempts:
        monkeypatch.setenv(HAS_ATTEMPTS, "yes")
    with pytest.raises(SystemExit):
        run(tmp_path / "x.log", error)
    final = FINAL in (tmp_path / "x.log").read_text().splitlines()
    assert final == (attempts and type(error) is UserError)
    assert FINAL not in capfd.readouterr().err


@pytest.mark.parametrize(
    "write",
    [
        "from workflow.lib.model.weights import save_model\n"
        "from workflow.lib.model.gpt import GPTConfig, GPTModel\n"
        "save_model(GPTModel(GPTConfig(300, 200, 64, 4, 2)), folder / 'model.pth')",
        "import numpy; from safetensors.numpy import save_file\n"
        "from workflow.lib.runtime.files import replacing\n"
        "with replacing(folder / 'model.safetensors') as unfinished:\n"
        "    save_file({'a': numpy.zeros(100_000)}, unfinished)",
        "from workflow.lib.runtime.files import write_json\n"
        "write_json(folder / 'x.json', ['x' * 300_000])",
    ],
    ids=["pth", "safetensors", "json"],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, write):
    """Real writes to a real file system of 200 kB."""
    child = (
        "import sys; from pathlib import Path; from workflow.lib.runtime.log import rule_log\n"
        "folder = Path(sys.argv[1])\n"
        "with rule_log(folder.parent / 'x.log'):\n"
    ) + textwrap.indent(write, "    ")
    full = tmp_path / "full"
    full.mkdir()
    script = (
        'mount -t tmpfs -o size=200k none "$3" || exit 77; "$1" -c "$2" "$3"; find "$3" -type f'
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh",
         sys.executable, child, str(full)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount a small file system")
    assert f"error: no space left on the disk: {full}/" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_defect_shows_where_it_is(tmp_path, capfd):
    with pytest.raises(SystemExit):
        run(tmp_path / "x.log", ZeroDivisionError("oh"))
    printed = capfd.readouterr().err
    assert f"error: this is a defect of the pipeline, please report it with {tmp_path}" in printed
    assert "Traceback" in printed
    assert "ZeroDivisionError: oh" in printed


def test_the_console_shows_less_than_the_file(tmp_path, capfd):
    """Of progress the first and last line and what remains; no details; the start of long lines."""
    path = tmp_path / "logs" / "finetune" / "small" / "book.log"
    with rule_log(path):
        for step in range(0, 101, 5):
            log.info("Step %d", step, extra={"progress": (step, 100)})
        log.info("one of many", extra={"detail": True})
        log.info("x" * 2000)
    assert path.read_text().splitlines()[1:] == [
        *(f"Step {step}" for step in range(0, 101, 5)),
        "one of many",
        "x" * 2000,
    ]
    assert capfd.readouterr().err.splitlines()[1:] == [
        "small/book | Step 0 (0 of 100)",
        "small/book | Step 100 (100 of 100)",
        f"small/book | {'x' * 400} ... (whole in {path})",
    ]


def test_slow_work_says_how_far_it_is_where_there_is_no_terminal(tmp_path, capfd, monkeypatch):
    now = iter(range(0, 10_000, 20))
    monkeypatch.setattr("workflow.lib.runtime.pace.time.monotonic", lambda: next(now))
    with rule_log(tmp_path / "x.log"):
        assert list(progress_bar(range(6), "responses")) == list(range(6))
    said = capfd.readouterr().err.splitlines()[1:]
    assert said
    assert all(line.startswith("responses: ") and line.endswith(" left") for line in said)


def test_progress_draws_nothing_without_a_terminal(capfd):
    assert list(progress_bar([1, 2, 3], "counting")) == [1, 2, 3]
    assert list(progress_bar(iter([]), "counting", total=0)) == []
    assert capfd.readouterr().err == ""

"""Errors end a script in one line, in its log file and on stderr; defects show their traceback."""

import errno

import pytest

from workflow.lib.errors import UserError
from workflow.lib.runlog import log, progress, rule_log


def run(path, error=None):
    with rule_log(path):
        log.info("working")
        if error:
            raise error


def test_lines_go_to_the_file_and_to_stderr(tmp_path, capfd):
    path = tmp_path / "logs" / "generate" / "small" / "book.log"
    run(path)
    assert path.read_text() == "generate small book\nworking\n"
    assert capfd.readouterr().err == "generate small book\nworking\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no such thing; do this"), "error: no such thing; do this"),
        (KeyboardInterrupt(), "error: interrupted; run the same command again to go on"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/y"),
            "error: no space left on the disk: /x/y; free some and run again",
        ),
        (PermissionError(errno.EACCES, "denied", "/x"), "error: Permission denied: /x"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            "error: CUDA out of memory. Tried to allocate 2 GiB; lower batch_size or max_length, "
            "or a smaller model",
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


def test_a_defect_shows_where_it_is(tmp_path, capfd):
    with pytest.raises(SystemExit):
        run(tmp_path / "x.log", ZeroDivisionError("oh"))
    printed = capfd.readouterr().err
    assert "error: this is a defect of the pipeline, please report it" in printed
    assert "Traceback" in printed
    assert "ZeroDivisionError: oh" in printed


def test_progress_draws_nothing_without_a_terminal(capfd):
    assert list(progress([1, 2, 3], "counting")) == [1, 2, 3]
    assert capfd.readouterr().err == ""

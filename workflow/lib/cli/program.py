"""What the commands share: a parser, and one line for every error that a user can fix."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from workflow.lib.runtime.errors import one_line
from workflow.lib.runtime.printable import PrintableStream


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line and keeps the line breaks of its texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see --help\n")


def run_program(program: Callable[[], None]) -> None:
    """Run a program; leave with one line instead of a traceback where a user can fix the error.

    Standard input and output become UTF-8; bytes that are not are replaced. What is printed
    cannot steer the terminal; `console.py` is for styles and colors.
    """
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    sys.stdout, sys.stderr = PrintableStream(sys.stdout), PrintableStream(sys.stderr)
    try:
        program()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if (message := one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")

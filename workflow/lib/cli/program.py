"""What the command-line programs share: one line for whatever a user can put right."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from workflow.lib.runtime.log import one_line


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like those of the rules."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help shows what there is\n")


def run_program(program: Callable[[], None]) -> None:
    """Call it; leave with one line instead of a traceback where a user can put it right.

    Texts go in and out as UTF-8, and bytes that are none become the replacement character.
    """
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        program()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if (message := one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")

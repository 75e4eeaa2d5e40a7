"""The exception for everything a user can put right, and lines for what the machine lacks."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from workflow.lib.runtime.printable import printable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
# Set in the environment of jobs that a run may try again.
HAS_ATTEMPTS = "FINETUNING_HAS_ATTEMPTS"
FINAL = "Not tried again: every attempt would end like this until the cause is put right."


class UserError(Exception):
    """An error that the user can fix: one line that says what is wrong, where, and what to do."""


class PassingError(UserError):
    """An error that another attempt may not meet, such as a process that died."""


def is_mistake(error: BaseException) -> bool:
    """Return whether an error comes again on every attempt, until the user changes something."""
    return isinstance(error, UserError) and not isinstance(error, PassingError)


def or_exit(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function; on a UserError end the program with its one line."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        sys.exit(f"error: {printable(str(error))}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return str(error).partition("\n")[0] or type(error).__name__


# What to do about an error of the system, by its number. It is the user's even without a path.
_ADVICE = {
    errno.EACCES: "change its permissions or its owner",
    errno.EPERM: "change its permissions or its owner",
    errno.EROFS: "use another folder, or mount it for writing",
    errno.EMFILE: "raise the limit of open files, for example with `ulimit -n 4096`",
    errno.ENFILE: "close other programs: the system has no more open files",
    errno.EFBIG: "raise the limit of a file's size, for example with `ulimit -f unlimited`",
    errno.EAGAIN: "raise the limit of processes, for example with `ulimit -u 4096`",
    errno.EIO: "the disk may be failing",
    errno.ESTALE: "the file server has replaced it; run again",
    errno.ELOOP: "links that lead to each other; remove one",
}
_ALWAYS_THE_USERS = {errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EFBIG, errno.EIO, errno.ESTALE}
_FULL = {errno.ENOSPC, errno.EDQUOT}
# In messages of torch, whose classes differ by device, and of safetensors, NumPy and the system.
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "bad_alloc",
)
# The second changes no result.
_LESS = "lower batch_size or max_length, raise gradient_accumulation, or use a smaller model"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on any device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def one_line(error: BaseException) -> str | None:
    """Return an error that a user can put right as one line, None for a defect of the pipeline."""
    if isinstance(error, UserError):
        return str(error)
    if is_full(error):
        return _full(getattr(error, "filename", None))
    if is_out_of_memory(error):
        said = first_line(error).partition(" Of the allocated memory")[0].rstrip(".")  # CUDA's
        said = said if "memory" in said else f"out of memory ({said})"
        return f"{said}; {_LESS}"
    if "can't start new thread" in str(error):
        return f"{first_line(error)}; {_ADVICE[errno.EAGAIN]}"
    if not isinstance(error, OSError) or not error.errno:
        return None
    if not error.filename and error.errno not in _ALWAYS_THE_USERS:
        return None
    path = os.fsdecode(error.filename or "")
    if error.errno == errno.EISDIR:
        return f"{path} is a folder where a file should be; move it away"
    files = [file for file in (Path(path), *Path(path).parents) if file.is_file()]
    if error.errno in (errno.ENOTDIR, errno.EEXIST) and files:
        return f"{files[-1]} is a file where a folder should be; move it away"
    where = f": {path}" if path else ""
    advice = f"; {_ADVICE[error.errno]}" if error.errno in _ADVICE else ""
    return f"{os.strerror(error.errno)}{where}{advice}"


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a disk, or the user's share of it, is full."""
    return getattr(error, "errno", None) in _FULL or (
        "No space left on device" in str(error)  # safetensors
    )


def _full(path: str | None) -> str:
    where = f": {path}" if path else ""
    try:
        disk = os.statvfs(Path(path or "").parent)
    except OSError:
        disk = None
    # Both may be counted after half a file was deleted.
    if disk and disk.f_files and disk.f_favail < 16 and disk.f_bavail * disk.f_frsize > 2**20:
        return f"the disk has room but holds no more files{where}; delete some and run again"
    return f"no space left on the disk{where}; free some and run again"

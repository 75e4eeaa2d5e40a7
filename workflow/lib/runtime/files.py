"""Reading and writing files; each is replaced atomically, so no reader sees half of one."""

import codecs
import csv
import errno
import glob
import hashlib
import io
import json
import os
import platform
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workflow.lib.runtime.digests import check_digest, record_of, sha256_of
from workflow.lib.runtime.errors import UserError, first_line, is_full
from workflow.lib.runtime.formulas import no_formula

AGAIN = "delete it and run again"
NO_FILE = "it is no ordinary file"  # but a device or a pipe


@contextmanager
def replacing(path: str | Path, recorded: bool = False) -> Iterator[Path]:
    """Write to a temporary file beside the path, then rename it; on an error delete it.

    Every process has its own, as two checkouts that share `resources/` may make the same file at
    once. Those that killed processes left are deleted. The file may be read and written as the
    umask says, also if a library let only its owner do so.

    Args:
        path: the file to make; its folder is made if missing.
        recorded: whether to record the file's digest (digests.py), which its reader checks.

    Yields:
        the path to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = platform.node().replace(".", "-")[:20]
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.*.unfinished"):
        if _is_left(other, machine):
            other.unlink(missing_ok=True)
    unfinished = path.with_name(f".{path.name}.{machine}.{os.getpid()}.unfinished")
    try:
        unfinished.touch()
        mode = stat.S_IMODE(unfinished.stat().st_mode)
        unfinished.unlink()
        yield unfinished
        made = unfinished.stat()
        if made.st_nlink == 1 and stat.S_IMODE(made.st_mode) != mode:  # a link's is not ours
            unfinished.chmod(mode)
        digest = sha256_of(unfinished) if recorded else None
        # In this order a process that is killed leaves no record rather than a wrong one.
        record_of(path).unlink(missing_ok=True)
        unfinished.replace(path)
        if digest:
            record_of(path).parent.mkdir(exist_ok=True)
            with replacing(record_of(path)) as record:
                record.write_text(f"{digest}  {path.name}\n", "utf-8")
    except Exception as error:
        # A failed write names no file, and safetensors only says so in words.
        if is_full(error) and not isinstance(error, OSError):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if isinstance(error, OSError) and str(error.filename or unfinished) == str(unfinished):
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def _is_left(unfinished: Path, machine: str) -> bool:
    """Return whether the process of a temporary file has ended.

    That of another machine has if it wrote nothing for a day.
    """
    *_, its_machine, process, _ = unfinished.name.split(".")
    try:
        if its_machine != machine:
            return time.time() - unfinished.stat().st_mtime > 24 * 3600
        os.kill(int(process), 0)  # signal 0 only asks whether there is such a process
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return int(process) == os.getpid()


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link to a file, or a copy on another file system or one without links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise  # a copy would also overwrite every other link to what is there
    except OSError:
        shutil.copyfile(source, target)


def check_folder(path: Path) -> None:
    """Check that files can be written to a folder, which need not exist yet.

    Raises:
        UserError: a file is in its place, or it is not writable.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file where a folder should be; move it away")
    if path.exists() and not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path} cannot be written to; change its permissions or its owner")


def local_path(place: str) -> Path:
    """Return the path that a place in the config names, with `~` as the user's own folder.

    Raises:
        ValueError: it begins with `~` and the name of a user that there is not.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise ValueError(f"{place.partition('/')[0]} is the folder of no user here") from None


def why_unreadable(path: Path) -> str | None:
    """Return why a path is no file that can be read; None if it is one. It is not opened.

    Reading a device or a pipe might never end.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except OSError as error:
        return str(error.strerror)
    except ValueError:  # a character that no file name can hold
        return "there can be no such file"
    if stat.S_ISDIR(mode):
        return "it is a folder"
    if not stat.S_ISREG(mode):
        return NO_FILE
    return None if os.access(path, os.R_OK) else "no permission to read it"


def write_json(path: str | Path, content: Any, recorded: bool = False) -> None:
    """Write readable JSON: indented, text as it is, a newline at the end.

    Half a surrogate pair, which UTF-8 cannot hold, becomes a question mark.

    Args:
        recorded: see `replacing`.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    with replacing(path, recorded) as unfinished:
        text = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False)
        unfinished.write_text(text + "\n", encoding="utf-8", errors="replace")


def read_text(path: str | Path, advice: str = "save the file as UTF-8") -> str:
    """Read a UTF-8 text file, without its byte order mark if it has one.

    Args:
        advice: what to do if it is not UTF-8.

    Raises:
        UserError: a device or a pipe, or not UTF-8; says where. Or it has changed since its digest
            was recorded.
    """
    if (problem := why_unreadable(Path(path))) == NO_FILE:
        raise UserError(f"{path}: {problem}")
    content = Path(path).read_bytes()
    check_digest(path, hashlib.sha256(content).hexdigest())
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: is UTF-16, not UTF-8; save the file as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bom = len(content) - len(error.object)  # which the decoder does not count
        line = content.count(b"\n", 0, error.start + bom) + 1
        raise UserError(
            f"{path}: not UTF-8 (line {line}, byte {error.start + bom}); {advice}"
        ) from error


def read_json(path: str | Path, made: bool = False) -> Any:
    """Read a JSON file.

    Args:
        made: whether a job made it, so that it can be deleted and made again.

    Raises:
        UserError: not UTF-8 or not JSON, or a key is repeated in an object; says where.
    """
    if not made:
        return parse_json(read_text(path), path)
    text = read_text(path, AGAIN)
    try:
        return parse_json(text, path)
    except UserError as error:
        raise UserError(f"{error}; {AGAIN}") from error


def parse_json(
    text: str, path: str | Path, to_object: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Parse the content of a JSON file.

    Args:
        path: the file, for messages.
        to_object: makes an object of its keys and values. The default refuses a repeated key,
            of which a dict would silently lose the first value; and then NaN and Infinity, which
            are no JSON, are refused, too.

    Raises:
        UserError: not JSON; says where.
    """
    try:
        if to_object:
            return json.loads(text, object_pairs_hook=to_object)
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from error
    except (ValueError, RecursionError) as error:  # a number too long, or nested too deep
        raise UserError(f"{path}: cannot be read as JSON ({first_line(error)})") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def repeated(pairs: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the keys that appear more than once."""
    counts = Counter(key for key, _ in pairs)
    return [key for key, count in counts.items() if count > 1]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        keys = ", ".join(map(repr, repeated(pairs)))
        raise ValueError(f"an object has {keys} more than once; remove one")
    return found


def write_csv(
    path: str | Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    recorded: bool = False,
) -> None:
    """Write a CSV file whose rows end in line feeds; line breaks inside cells are kept.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP advises
    against CSV injection; `read_csv` takes it away.

    Args:
        recorded: see `replacing`.
    """
    line = io.StringIO(newline="")
    writer = csv.DictWriter(line, columns)  # quotes a carriage return only if it ends the lines
    with (
        replacing(path, recorded) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        for row in ({column: column for column in columns}, *rows):
            writer.writerow({column: no_formula(cell) for column, cell in row.items()})
            file.write(line.getvalue().removesuffix("\r\n") + "\n")
            line.seek(0)
            line.truncate()

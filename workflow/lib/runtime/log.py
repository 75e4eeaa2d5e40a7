"""Logging of jobs: to their log file and to stderr, with progress bars on a terminal only."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from workflow.lib.runtime.errors import FINAL, HAS_ATTEMPTS, is_mistake, one_line
from workflow.lib.runtime.pace import Pace
from workflow.lib.runtime.printable import printable

log = logging.getLogger("pipeline")
Item = TypeVar("Item")
_LONGEST = 400  # characters of a line on the console


@contextmanager
def rule_log(path: str | Path, claim: Callable[[], None] | None = None) -> Iterator[None]:
    """Run the body of a script: log lines go to stderr and the file, errors end the job.

    An error that a user can put right ends in one line that starts with `error:`; any other is a
    defect of the pipeline and shows its traceback.

    Args:
        path: the rule's log file, overwritten.
        claim: called first; if it raises because another run is at work, that run's log is kept,
            and the error appended.
    """
    logging.raiseExceptions = False  # a log on a full disk ends early, without a traceback
    handlers: list[logging.Handler] = []
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if claim:
            _put_back(path)
        handlers = log_to(path)
        if claim:
            claim()
        os.truncate(path, 0)
        with _spare_link(path) if claim else nullcontext():
            log.info("%s", _job_of(path))
            yield
    except KeyboardInterrupt:
        log.error("error: interrupted; run the same command again to go on")
        sys.exit(130)
    except Exception as error:
        if (message := one_line(error)) is None:
            log.error("error: this is a defect of the pipeline, please report it with %s", path)
            log.error(traceback.format_exc().rstrip())
        else:
            log.error("error: %s", message)
            if is_mistake(error) and os.environ.get(HAS_ATTEMPTS):
                log.info(FINAL, extra={"detail": True})
        sys.exit(1)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                with suppress(OSError):  # it writes what did not fit
                    handler.close()


@contextmanager
def _spare_link(path: Path) -> Iterator[None]:
    """Keep a second link to a log for a `with` block.

    Snakemake deletes the log of a job that it starts, also where another run is at work on the same
    job. By the link it can be put back.
    """
    spare = _spare_of(path)
    with suppress(OSError):  # not every file system has links
        spare.unlink(missing_ok=True)
        spare.hardlink_to(path)
    try:
        yield
    finally:
        _put_back(path)
        with suppress(OSError):
            spare.unlink()


def _put_back(path: Path) -> None:
    """Put a log back where it was deleted, if there is a link to it."""
    spare = _spare_of(path)
    with suppress(OSError):
        if not (path.exists() and path.samefile(spare)):
            link = spare.with_name(f"{spare.name}.{os.getpid()}")
            link.hardlink_to(spare)
            link.replace(path)


def _spare_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.spare")


def log_to(path: str | Path) -> list[logging.Handler]:
    """Send log lines to stderr and append them to a file, as other processes may do too."""
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(named := _Named(Path(path)))
    console.addFilter(named.shows)
    file = logging.FileHandler(path, "a", "utf-8", errors="backslashreplace")
    file.setFormatter(_Printable())
    handlers: list[logging.Handler] = [console, file]
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    return handlers


class _Printable(logging.Formatter):
    """Keeps secrets and control sequences out of lines, which may quote a server or a data set."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _Named(_Printable):
    """Puts a job's names before each line, because several jobs write to one terminal.

    Progress is shown every few seconds, details (`extra={"detail": True}`) are left out and long
    lines shortened; the log file has everything.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.job = path, _job_of(path)
        self.names = "/".join(self.job.split()[1:])
        self.pace = Pace(every=5)

    def shows(self, record: logging.LogRecord) -> bool:
        """Return whether a record goes to the console."""
        if getattr(record, "detail", False):
            return False
        progress = getattr(record, "progress", None)
        return progress is None or self.pace.due(*progress)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if line == self.job or record.levelno >= logging.ERROR:
            return line
        if progress := getattr(record, "progress", None):
            line += f" ({self.pace.left(*progress)})"
        if len(line) > _LONGEST:
            line = f"{line[:_LONGEST]} ... (whole in {self.path})"
        return f"{self.names} | {line}" if self.names else line


def progress_bar(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, with a progress bar on a terminal, and elsewhere a line every half minute.

    Args:
        items: what to iterate over.
        label: text before the bar.
        total: number of items, if `items` has no length.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, label, total=total, leave=False)
        return
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    (pace := Pace(every=30)).due(0, total)
    for done, item in enumerate(items, 1):
        yield item
        if done < total and pace.due(done, total):
            log.info("%s: %s", label, pace.left(done, total))


def _job_of(path: Path) -> str:
    """Return a log file's job: `generate small book` for results/logs/generate/small/book.log."""
    parts = path.with_suffix("").parts
    return " ".join(parts[parts.index("logs") + 1 :] if "logs" in parts else parts[-1:])

"""What a run is going to replace, said before it begins. The Snakefile imports this module."""

import csv
from ast import literal_eval
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from workflow.lib.report.format import duration
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, why_unreadable
from workflow.lib.runtime.yaml_files import read_yaml

MOST_LINES = 10
MOST_SECONDS = 1e9  # of a job; more is damage
_LONGEST = 40  # characters of a value that is shown
# What a job's inputs are called, by the name of the file.
_INPUTS = {
    "model.safetensors": "base model",
    "model.pth": "model",
    "train.npz": "tokens",
    "val.npz": "tokens",
    "val.json": "entries",
    "test.json": "entries",
    "encoder.json": "tokenizer",
    "vocab.bpe": "tokenizer",
    "responses.json": "responses",
    "training.json": "",  # made with the model
    "ready.json": "",  # made anew for each judging
}


@dataclass(frozen=True)
class Rerun:
    """A job whose results are there and are going to be made again.

    Args:
        files: what the job makes.
        before: those params that its files were made with and that are not its params now, as
            Snakemake records them: each as `repr` writes it, without its name.
        now: its params that are new, by name.
        inputs: those that have changed or that are made again first.
        asks: whether it asks a judge's server.
        forced: whether the command asks for it.
    """

    files: Sequence[str]
    before: Collection[str] = ()
    now: Mapping[str, Any] | None = None
    inputs: Collection[str] = ()
    asks: bool = False
    forced: bool = False


def replaced_lines(reruns: Iterable[Rerun]) -> list[str]:
    """Return a line for each result that took long to make and is going to be made again.

    Those of finetuning come first, then those of judges; after ten lines the rest is counted.
    """
    jobs = [(*kind, rerun) for rerun in reruns if (kind := _kind(rerun.files))]
    jobs.sort(key=lambda job: job[0])
    lines = [_line(*job) for job in jobs[:MOST_LINES]]
    if more := len(jobs) - MOST_LINES:
        lines += [f"and replaces {more} more results"] if more > 0 else []
    return lines


def replaced_comparison(config: Path, settings: Mapping[str, Any]) -> list[str]:
    """Return a line if a comparison of other variants or judges is going to be replaced.

    Args:
        config: config.yaml of the comparison, which need not be there.
        settings: of the comparison to come.
    """
    try:
        before = read_yaml(config)["compare"]
    except (UserError, LookupError, TypeError):
        before = None
    if not isinstance(before, Mapping):
        return []  # not there, or no longer what was written: nothing can be said
    if changes := list(_changes(before, settings["compare"])):
        report = config.with_name("report.html")
        when = f" of {_date(report)}" if report.exists() else ""
        name = settings.get("name")
        hint = "" if name else "; give the config a `name` to keep both"
        where = f"comparison {name}" if name else "comparison without a name"
        return [f"{where}: {', '.join(changes)}, replaces the report{when}{hint}"]
    return []


def _kind(files: Sequence[str]) -> tuple[int, str, Path] | None:
    """Return the place among the lines, the job in words and the file that tells most of it."""
    for path in map(Path, files):
        match path.parts:
            case ["results", model, recipe, "training.json"]:
                place, words = 0, f"finetune {model} {recipe}"
            case ["results", model, recipe, judge, "scores.csv" | "wins.csv"]:
                place, words = 1, f"judge {model} {recipe} {judge}"
            case ["results", model, recipe, "responses.json"]:
                place, words = 2, f"generate {model} {recipe}"
            case _:
                continue
        if path.exists():
            return place, words, path
    return None


def _line(_place: int, job: str, path: Path, rerun: Rerun) -> str:
    why = ", ".join(dict.fromkeys(_reasons(rerun))) or "made again"
    what, seconds = _result(path)
    took = f", {duration(seconds)}" if seconds else ""
    return f"{job}: {why}, replaces {what} of {_date(path)}{took}{_requests(rerun)}"


def _requests(rerun: Rerun) -> str:
    """Return the end of a line about a judge's requests."""
    if not rerun.asks:
        return ""
    if (rerun.now or {}).keys() - {"code"} or any(_INPUTS.get(Path(f).name) for f in rerun.inputs):
        return "; a request that was answered before is not sent again"
    return "; all its replies are kept, nothing is asked again"


def _reasons(rerun: Rerun) -> list[str]:
    """Return what has changed since a job's files were made: settings, else inputs, else files."""
    inputs = [Path(path).name for path in rerun.inputs]
    missing = [Path(file).name for file in rerun.files if not Path(file).exists()]
    return (
        [*_changed_params(rerun)]
        or [f"new {words}" for name in inputs if (words := _INPUTS.get(name, name))]
        or (["asked for"] if rerun.forced else [f"{name} is missing" for name in missing[:1]])
    )


def _changed_params(rerun: Rerun) -> Iterator[str]:
    before = [*map(_value, rerun.before)]
    for name, value in (rerun.now or {}).items():
        if name == "code":
            yield "code changed"
        elif name == "style":
            yield "prompt style changed"
        elif isinstance(value, Mapping):
            old = [other for other in before if isinstance(other, Mapping)]
            nearest = max(old, key=lambda other: len(other.keys() & value.keys()), default={})
            yield from _changes(nearest, value) if nearest else [f"{name} changed"]
        else:
            old = [other for other in before if not isinstance(other, Mapping)]
            yield from _changes({name: old[0]} if len(old) == 1 else {}, {name: value})


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Yield the settings that differ, with both values where they are short."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before == after and type(before) is type(after):
            continue
        name = f"{section}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping) and key != "prompt":
            yield from _changes(before, after, f"{name}.")
        elif key in old and (texts := [_text(before), _text(after)]) and all(texts):
            yield f"{name} {texts[0]} -> {texts[1]}"
        else:
            yield f"{name} changed"


def _text(value: Any) -> str:
    """Return a value as the config has it, nothing if it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:e}".partition("e")
        small = value and not 0.01 <= abs(value) < 1e6
        return f"{float(mantissa):g}e{int(exponent)}" if small else f"{value:g}"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        text = f"[{', '.join(map(str, value))}]"
    else:
        text = "" if isinstance(value, Mapping | list | tuple) else str(value)
    return text if len(text) <= _LONGEST and text.isprintable() else ""


def _value(recorded: str) -> Any:
    """Return the value that `repr` wrote, the text itself if it was no plain value."""
    try:
        return literal_eval(recorded)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return recorded


def _result(path: Path) -> tuple[str, float | None]:
    """Return what is replaced, and how many seconds it took as far as that is recorded."""
    try:
        if why_unreadable(path):
            raise ValueError(path)
        match path.name:
            case "training.json":
                return "the model", _seconds(path)
            case "responses.json":
                return f"{len(read_json(path, made=True))} responses", None
            case _:
                with path.open(encoding="utf-8", newline="") as file:
                    rows = sum(1 for _ in csv.reader(file)) - 1
                kind = "scores" if path.name == "scores.csv" else "verdicts"
                return f"{max(rows, 0)} {kind}", _seconds(path.with_name("usage.json"))
    except (OSError, ValueError, LookupError, TypeError, UserError, csv.Error):
        return "the damaged result", None  # the job that makes it again reads none of it


def _seconds(record: Path) -> float:
    """Return how long a job took; raise ValueError if that is no time."""
    seconds = float(read_json(record, made=True)["seconds"])
    if not 0 <= seconds < MOST_SECONDS:
        raise ValueError(seconds)
    return seconds


def _date(path: Path) -> str:
    """Return when a file was made, such as 22 November."""
    made, now = datetime.fromtimestamp(path.stat().st_mtime), datetime.now()
    if made.date() == now.date():
        return f"today, {made:%H:%M}"
    return f"{made.day} {made:%B}" + (f" {made.year}" if made.year != now.year else "")

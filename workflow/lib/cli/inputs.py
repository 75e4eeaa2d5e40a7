"""The files that a run takes from the user, looked for before anything runs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from workflow.lib.judge.prompt import prompt_of
from workflow.lib.model.source import split_url, vocabulary_names
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import local_path, why_unreadable
from workflow.lib.settings.baselines import baseline_run
from workflow.lib.settings.inheritance import origin
from workflow.lib.settings.judges import RatedJudge, ServerJudge
from workflow.lib.settings.places import Mistake
from workflow.lib.settings.root import Settings
from workflow.lib.settings.sources import Source
from workflow.lib.tokens.prompt_style import load_style

Names = Mapping[str, set[str]]  # of definitions, by section


def used_by(targets: Iterable[str], settings: Settings) -> Names:
    """Return the definitions that targets are made from, as far as their paths name them.

    Args:
        targets: as given to Snakemake. None, a rule, or a file about the comparison stands for
            everything under `compare`.
        settings: of the run.
    """
    sections = ("datasets", "tokenizers", "models", "recipes", "judges")
    used: dict[str, set[str]] = {section: set() for section in sections}
    for target in list(targets) or ["all"]:
        match Path(target).parts:
            case ["rating"] | [*_, "rating.html" | "rating-key.json"]:  # before anyone judges
                used["models"].update(settings.compare.models)
                used["recipes"].update(*settings.variants.values())
            case ["results", "data", dataset, *_] | ["resources", "datasets", dataset, _]:
                used["datasets"].add(dataset)
            case ["resources", "datasets", file]:
                used["datasets"].add(_name_of(Path(file).stem))
            case ["results", "tokens", tokenizer, dataset, *_]:
                used["tokenizers"].add(tokenizer)
                used["datasets"].add(dataset)
            case ["resources", "tokenizers", tokenizer, *_]:
                used["tokenizers"].add(_name_of(tokenizer))
            case ["resources", "gpt2", model, *_]:
                used["models"].add(_name_of(model))
            case ["results", model, recipe, *rest] if model in settings.models:
                used["models"].add(model)
                used["recipes"].add(recipe)
                used["judges"].update(rest[:1])
            case [_] | ["results", *_]:
                used["models"].update(settings.compare.models)
                used["recipes"].update(*settings.variants.values())
                used["judges"].update(settings.compare.judges)
    for judge in used["judges"] & settings.judges.keys():
        for model, run in [(m, r) for m in used["models"] for r in used["recipes"]]:
            if run in settings.recipes and (of := baseline_run(settings, judge, model, run)):
                used["models"].add(of[0])
                used["recipes"].add(of[1])
    for model, recipe in [of for name in used["models"] for of in settings.started_from(name)]:
        used["models"].add(model)
        used["recipes"].add(recipe)
    defined = {section: used[section] & getattr(settings, section).keys() for section in sections}
    if defined["recipes"]:  # a model alone needs no data and no tokenizer
        defined["datasets"] |= {settings.recipes[name].dataset for name in defined["recipes"]}
        defined["tokenizers"] |= {settings.models[name].tokenizer for name in defined["models"]}
    return defined


def _name_of(kept: str) -> str:
    """Return the name of the definition whose files are kept under a name with a key."""
    return re.sub("-[0-9a-f]{8}$", "", kept)


def located(url: str, home: Path) -> str:
    """Return an address, or a local path, found in the working folder or in that of the workflow.

    Args:
        home: folder of the workflow.
    """
    if "://" not in url and not Path(url).expanduser().exists() and (home / url).exists():
        return str(home / url)
    return url


def missing_inputs(settings: Settings, used: Names, written: Any, home: Path) -> Iterator[Mistake]:
    """Yield each file that definitions name and that is not there, or is not what it should be.

    Args:
        settings: of the run.
        used: names of the definitions to look at.
        written: the section `recipes` as written, to name the one that sets an inherited prompt.
        home: folder of the workflow.
    """
    for name in sorted(used["datasets"]):
        for part, file in settings.datasets[name].parts().items():
            keys: tuple[Any, ...] = ("files", part) if part else ("url",)
            yield from _missing(("datasets", name, *keys), file, [""], home)
    for name in sorted(used["tokenizers"]):
        keys = ("tokenizers", name, "url")
        tokenizer = settings.tokenizers[name]
        files = vocabulary_names(located(tokenizer.url, home)).values()
        yield from _missing(keys, tokenizer, files, home)
    for name in sorted(used["models"]):
        source = settings.models[name]
        if settings.trained_first(name):
            continue  # made by this run
        if _is_local(source) and not local_path(located(source.url, home)).exists():
            kind = "file" if split_url(source.url)[1] else "folder"
            yield Mistake(("models", name, "url"), f"{source.url}: there is no such {kind}")
    problem_of = cache(_problem_of)  # a file is read once, however many recipes name it
    for name in sorted(used["recipes"]):
        if problem := problem_of(load_style, settings.recipes[name].prompt):
            owner = origin(name.partition(",")[0], ["prompt"], written)
            yield Mistake(("recipes", owner, "prompt"), problem)
    for name in sorted(used["judges"]):
        judge = settings.judges[name]
        if isinstance(judge, ServerJudge) and (problem := _problem_of(prompt_of, judge)):
            yield Mistake(("judges", name, "prompt"), problem)
        if isinstance(judge, RatedJudge):
            yield from _no_ratings(("judges", name, "ratings"), judge.ratings)


def _no_ratings(keys: tuple[str, ...], files: Sequence[str]) -> Iterator[Mistake]:
    """Yield what is missing of the files that a judge's scores are read from."""
    if not files:
        yield Mistake(
            keys,
            "names no file; make the page with `snakemake --cores 1 rating`, have the answers "
            "rated on it, and name the files that it saves",
        )
    for file in files:
        if problem := why_unreadable(local_path(file)):
            yield Mistake(keys, f"{file}: {problem}")


def _is_local(source: Source) -> bool:
    """Return whether files come from this machine alone; mirrors are tried if they are missing."""
    return "://" not in source.url and not source.mirrors


def _missing(
    keys: tuple[str, ...], source: Source, names: Iterable[str], home: Path
) -> Iterator[Mistake]:
    if _is_local(source):
        for name in names:
            if problem := why_unreadable(local_path(located(source.url, home)) / name):
                yield Mistake(keys, f"{Path(source.url, name)}: {problem}")


def _problem_of(load: Callable[[Any], object], name: Any) -> str | None:
    """Return why a file that a setting names cannot be loaded, None if it can."""
    try:
        load(name)
    except UserError as error:
        return str(error)
    return None

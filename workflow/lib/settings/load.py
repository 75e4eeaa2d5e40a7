"""Reads config.yaml into settings: everything in it is checked before anything runs.

Unknown keys are refused, and all mistakes are reported at once, each with its path in the file.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_yaml
from workflow.lib.runtime.names import suggest
from workflow.lib.settings.judges import settings_class
from workflow.lib.settings.recipe import EXECUTION_KEYS
from workflow.lib.settings.root import Settings


def load_settings(config: Mapping[str, Any]) -> Settings:
    """Check config.yaml as Snakemake merged it and turn it into objects.

    Args:
        config: the parsed files, presets and `--config` values on top of one another.

    Returns:
        The settings, every recipe complete (its defaults and what it extends filled in).

    Raises:
        UserError: names every mistake, a line each, with its path in the file.
    """
    config = deepcopy(dict(config))
    mistakes: list[str] = []
    written = config.get("recipes")
    config["recipes"] = _complete_recipes(written, mistakes)
    settings = None
    try:
        settings = Settings.model_validate(config)
    except ValidationError as error:
        mistakes += [_explain(detail, config, written) for detail in error.errors()]
    mistakes = list(dict.fromkeys([*mistakes, *_unknown_names(config, written)]))
    if mistakes or settings is None:
        lines = [f"  {mistake}" for mistake in mistakes]
        if len(lines) == 1:
            raise UserError(f"config: {mistakes[0]}")
        raise UserError("\n".join(["the config has mistakes:", *lines]))
    return settings


def check_config_file(path: str) -> None:
    """Refuse a file that is not YAML with keys, which Snakemake would not say the place of.

    Raises:
        UserError: says where.
    """
    if not isinstance(read_yaml(Path(path)), dict):
        raise UserError(
            f"{path}: should be a file of keys and values, as the one that came with it"
        )


def compared(settings: Settings) -> dict[str, Any]:
    """What is compared and all it refers to, as a config file that would repeat it.

    Left out is what changes no result: device, processes, threads, checkpoints, and how judges are
    reached.
    """
    names = settings.compare
    recipes = {name: settings.recipes[name] for name in names.recipes}
    models = {name: settings.models[name] for name in names.models}
    used = {
        "models": names.models,
        "recipes": names.recipes,
        "judges": names.judges,
        "datasets": [recipe.dataset for recipe in recipes.values()],
        "tokenizers": [model.tokenizer for model in models.values()],
    }
    everything = settings.model_dump(mode="json")
    chosen = {"compare": everything["compare"], "precision": everything["precision"]}
    for section, wanted in used.items():
        chosen[section] = {name: everything[section][name] for name in dict.fromkeys(wanted)}
    for judge in chosen["judges"].values():
        judge.pop("transport", None)
    for recipe in chosen["recipes"].values():
        for name in EXECUTION_KEYS:
            recipe.pop(name)
    return chosen


def _complete_recipes(recipes: Any, mistakes: list[str]) -> Any:
    """Each recipe over the one it extends, over `defaults`."""
    if not isinstance(recipes, dict):
        return recipes
    written = dict(recipes)
    defaults = written.pop("defaults", None) or {}
    complete = {}
    for name in written:
        chain, parent = [], name
        while isinstance(parent, str):
            if parent in chain:
                mistakes.append(f"recipes.{name}.extends: goes round in a circle")
                break
            if parent not in written:
                mistakes.append(
                    f"recipes.{chain[-1]}.extends: unknown recipe {parent!r}"
                    f"{suggest(parent, written)}"
                )
                break
            chain.append(parent)
            recipe = written[parent]
            parent = recipe.get("extends") if isinstance(recipe, dict) else None
        if chain and parent is not None and not isinstance(parent, str):
            mistakes.append(
                f"recipes.{chain[-1]}.extends: should be a recipe's name, not {parent!r}"
            )
        layers = [defaults, *(written[link] for link in reversed(chain))]
        complete[name] = written[name]
        if all(isinstance(layer, dict) for layer in layers):
            complete[name] = _overlay(layers)
            complete[name].pop("extends", None)
            # Figures belong to the recipe they were printed for, not to a change of it.
            complete[name]["published"] = written[name].get("published")
    return complete


def _overlay(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later layers win, key by key, also inside sections."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                value = _overlay([merged[key], value])
            merged[key] = value
    return merged


def _unknown_names(config: Mapping[str, Any], recipes: Any) -> list[str]:
    """References to definitions that are not there, in any section.

    Args:
        config: the recipes in it complete.
        recipes: as written, to name the one that an inherited mistake stands in.
    """

    def definitions(section: str) -> dict[str, Any]:
        value = config.get(section)
        return value if isinstance(value, dict) else {}

    references = []
    for section in ("models", "recipes", "judges"):
        chosen = definitions("compare").get(section)
        for number, name in enumerate(chosen if isinstance(chosen, list) else []):
            references.append((f"compare.{section}.{number}", section, name))
    for section, key, target in [
        ("models", "tokenizer", "tokenizers"),
        ("recipes", "dataset", "datasets"),
    ]:
        for name, definition in definitions(section).items():
            if isinstance(definition, dict) and key in definition:
                written = _written_in((name, key), recipes) if section == "recipes" else name
                references.append((f"{section}.{written}.{key}", target, definition[key]))
    return [
        f"{path}: {target} has no {name!r}{suggest(name, definitions(target))}"
        for path, target, name in references
        if isinstance(name, str)
        and isinstance(config.get(target), dict)
        and name not in config[target]
    ]


def _explain(detail: Mapping[str, Any], config: Mapping[str, Any], recipes: Any) -> str:
    """One mistake found by pydantic, in one line.

    Args:
        detail: what pydantic says of it.
        config: what was checked.
        recipes: as written, to name the one that an inherited mistake stands in.
    """
    location = detail["loc"] or ("config",)
    if location[0] == "recipes" and len(location) > 1:
        location = ("recipes", _written_in(location[1:], recipes), *location[2:])
    path = ".".join(str(part) for part in location if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key{suggest(str(location[-1]), _keys_at(location[:-1], config))}"
    if detail["type"] == "missing":
        return f"{path}: required, but not there"
    if detail["type"] == "string_pattern_mismatch" and "[key]" in location:
        return f"{path}: names start with a letter or digit and hold only those and . _ -"
    if detail["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return f"{path}: should be a section of keys, not {detail['input']!r}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "value_error":
        return f"{path}: {message}"
    return f"{path}: should be {message[0].lower()}{message[1:]}, not {detail['input']!r}"


def _written_in(location: tuple[Any, ...], recipes: Any) -> Any:
    """The recipe that holds this key itself: the named one, one it extends, or the defaults."""
    name, *path = location
    link, passed = name, set()
    while isinstance(recipes, dict) and link in recipes and link not in passed:
        passed.add(link)
        inside = recipes[link]
        for part in path:
            inside = inside.get(part, recipes) if isinstance(inside, dict) else recipes
        if inside is not recipes:
            return link
        parent = recipes[link].get("extends") if isinstance(recipes[link], dict) else None
        link = parent or "defaults"
    return name


def _keys_at(location: tuple[Any, ...], config: Mapping[str, Any]) -> Iterable[str]:
    """The keys that the section at this place in the file has."""
    candidates: list[Any] = [Settings]
    if location[:1] == ("judges",) and len(location) > 1:
        candidates = [settings_class(config["judges"][location[1]]["backend"])]
        location = location[2:]
    for part in location:
        candidates = [inner for outer in candidates for inner in _inside(outer, part)]
    return {key for section in candidates for key in getattr(section, "model_fields", {})}


def _inside(annotation: Any, part: Any) -> list[Any]:
    """The types found one step deeper: a field of a section, a value of a dict."""
    if fields := getattr(annotation, "model_fields", None):
        if part in fields:
            return _members(fields[part].annotation)
        return []
    return _members(get_args(annotation)[-1]) if get_args(annotation) else []


def _members(annotation: Any) -> list[Any]:
    """The alternatives of a union, with Annotated taken off."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for inner in get_args(annotation) for member in _members(inner)]
    return [annotation]

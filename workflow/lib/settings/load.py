"""The config checked as a whole and turned into settings, before anything runs.

Unknown keys are refused, and all mistakes are reported at once, each with its file and its path.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json
from workflow.lib.runtime.names import in_one_line
from workflow.lib.runtime.yaml_files import read_yaml
from workflow.lib.settings.baselines import baseline_mistakes
from workflow.lib.settings.inheritance import complete_recipes, extended
from workflow.lib.settings.mistakes import explain, undefined_names
from workflow.lib.settings.places import Layer, Mistake, source_of
from workflow.lib.settings.root import Settings
from workflow.lib.settings.structure import misshapen, unquoted_names

SWALLOWED = (
    "is a target, but stands where Snakemake expects a file of settings; --configfile takes every "
    "word up to the next option: snakemake --configfile FILE --cores 1 TARGET"
)
MOST_MISTAKES = 30  # shown at a time


def load_settings(config: Mapping[str, Any], layers: Sequence[Layer] = ()) -> Settings:
    """Check the config as Snakemake merged it and turn it into settings.

    Args:
        config: config.yaml, with the files of --configfile and the values of --config laid over it.
        layers: what it was merged from, to name the file of each mistake.

    Returns:
        The settings; each recipe is complete.

    Raises:
        UserError: lists all mistakes, one per line, each with its path in the config.
    """
    if mistake := misshapen(config):
        refuse([mistake], layers)
    refuse(unquoted_names(config), layers)
    written = config.get("recipes")
    recipes, mistakes = complete_recipes(written)
    complete = {**config, "recipes": recipes}
    mistakes += undefined_names(complete, written)
    try:
        settings = Settings.model_validate(complete)
    except ValidationError as error:
        mistakes = [explain(detail, written) for detail in error.errors()] + mistakes
    else:
        if not mistakes:
            settings, mistakes = settings.expanded(extended(written))
            mistakes = mistakes or [*baseline_mistakes(settings)]
    refuse(mistakes, layers)
    return settings


def refuse(mistakes: Iterable[Mistake], layers: Sequence[Layer]) -> None:
    """Raise one error about all mistakes, if there are any, each with the file it stands in.

    Raises:
        UserError: there is a mistake.
    """
    named = (
        (source_of(mistake.keys, layers) if layers else "config", mistake) for mistake in mistakes
    )
    # An inherited mistake is found once per recipe.
    lines = list(dict.fromkeys(in_one_line(f"{file}: {mistake}") for file, mistake in named))
    if len(lines) > 1:
        more = len(lines) - MOST_MISTAKES
        rest = [f"and {more} more"] if more > 0 else []
        raise UserError("\n  ".join(["the config has mistakes:", *lines[:MOST_MISTAKES], *rest]))
    for line in lines:
        raise UserError(line)


def read_config_layer(file: str | Path) -> Layer:
    """Read a file of settings.

    Snakemake's own error names no line, and of a repeated key it silently takes the last value.

    Raises:
        UserError: it is not YAML or JSON with keys, or repeats a key; names the line if there is
            one.
    """
    # Tabs may indent JSON, but not YAML.
    path = str(file)
    if Path(file).is_relative_to(Path.cwd()):
        path = str(Path(file).relative_to(Path.cwd()))
    read = read_json if path.endswith(".json") else read_yaml
    if path.startswith(("results/", "resources/")) and Path(path).name != "config.yaml":
        raise UserError(f"{path}: {SWALLOWED}")
    content = read(path)
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: should hold keys and values such as `device: cpu`; compare it with the "
            "config.yaml that came with the workflow"
        )
    if mistake := misshapen(content):
        raise UserError(in_one_line(f"{path}: {mistake}"))
    return Layer(path, content)

"""The config checked as a whole and turned into settings, before anything runs.

Unknown keys are refused, and all mistakes are reported at once, each with its path in the config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, read_yaml
from workflow.lib.settings.inheritance import complete_recipes
from workflow.lib.settings.mistakes import explain, undefined_names
from workflow.lib.settings.root import Settings


def load_settings(config: Mapping[str, Any]) -> Settings:
    """Check the config as Snakemake merged it and turn it into settings.

    Args:
        config: config.yaml, with the files of --configfile and the values of --config laid over it.

    Returns:
        The settings; each recipe is complete.

    Raises:
        UserError: lists all mistakes, one per line, each with its path in the config.
    """
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
            settings, mistakes = settings.expanded()
        if not mistakes:
            return settings
    lines = list(dict.fromkeys(mistakes))  # an inherited mistake is found once per recipe
    if len(lines) == 1:
        raise UserError(f"config: {lines[0]}")
    raise UserError("\n  ".join(["the config has mistakes:", *lines]))


def check_config_file(path: str | Path) -> None:
    """Check that a file is YAML or JSON with keys.

    Snakemake's own error names no line, and of a repeated key it silently takes the last value.

    Raises:
        UserError: it is not, or repeats a key; names the line if there is one.
    """
    # Tabs may indent JSON, but not YAML.
    read = read_json if Path(path).suffix == ".json" else read_yaml
    if not isinstance(read(Path(path)), dict):
        raise UserError(
            f"{path}: should hold keys and values such as `device: cpu`; compare it with the "
            "config.yaml that came with the workflow"
        )

"""`python -m workflow check`: files of settings, checked without Snakemake."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from workflow.lib.cli.inputs import missing_inputs, used_by
from workflow.lib.cli.program import Parser
from workflow.lib.runtime.provenance import ROOT
from workflow.lib.settings.load import load_settings, read_config_layer, refuse

EPILOG = """\
Snakemake reads the files of --configfile before the workflow starts, and ends with a traceback if
it cannot. This command says in one line what is wrong.

example:
  python -m workflow check workflow/presets/book.yaml"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `check`.
    """
    parser = Parser(
        prog="python -m workflow check",
        description="Check files of settings, laid over config.yaml in this order.",
        epilog=EPILOG,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="as for --configfile")
    chosen = parser.parse_args(arguments)
    base = Path("config.yaml") if Path("config.yaml").exists() else ROOT / "config.yaml"
    layers = [read_config_layer(file) for file in (base, *chosen.files)]
    config: dict[Any, Any] = {}
    for layer in layers:
        _lay_over(config, deepcopy(dict(layer.content)))
    settings = load_settings(config, layers)
    refuse(missing_inputs(settings, used_by([], settings), config["recipes"], _located), layers)
    names = settings.compare
    print(
        f"{', '.join(layer.name for layer in layers)}: no mistakes; compares the models "
        f"{', '.join(names.models)} with the recipes {', '.join(names.recipes)}, judged by "
        f"{', '.join(names.judges)}"
    )


def _located(url: str) -> str:
    """Return a local path, found in the working folder or beside the workflow."""
    there = ROOT / url
    return str(there) if not Path(url).expanduser().exists() and there.exists() else url


def _lay_over(config: dict[Any, Any], content: dict[Any, Any]) -> None:
    """Merge sections key by key, as Snakemake does."""
    for key, value in content.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _lay_over(config[key], value)
        else:
            config[key] = value

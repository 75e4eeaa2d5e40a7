"""`python -m workflow check`: files of settings, checked without Snakemake."""

from pathlib import Path

from workflow.lib.cli.inputs import missing_inputs, used_by
from workflow.lib.cli.program import Parser
from workflow.lib.runtime.provenance import ROOT
from workflow.lib.settings.inheritance import overlay
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
    config = overlay(layer.content for layer in layers)  # as Snakemake merges them
    settings = load_settings(config, layers)
    refuse(missing_inputs(settings, used_by([], settings), config["recipes"], ROOT), layers)
    names = settings.compare
    print(
        f"{', '.join(layer.name for layer in layers)}: no mistakes; compares the models "
        f"{', '.join(names.models)} with the recipes {', '.join(names.recipes)}, judged by "
        f"{', '.join(names.judges)}"
    )

"""The program `python -m workflow`, whose commands are imported only when they are called."""

import sys
from argparse import REMAINDER
from importlib import import_module

from workflow.lib.cli.program import Parser, run_program
from workflow.lib.runtime.environment import prepare_environment
from workflow.lib.runtime.names import suggest
from workflow.lib.runtime.version import VERSION

# Each is a module of lib/cli with a function `main` that takes the remaining arguments.
COMMANDS = {
    "chat": "talk to a finetuned model",
    "show": "show an entry, its prompt, its tokens, or a padded batch",
    "quality": "list the doubtful entries of a data set",
    "results": "list what lies in results/, and what no config names",
    "archive": "pack a comparison with all that repeats it",
    "check": "check files of settings before Snakemake reads them",
    "schema": "print the JSON schema of config.yaml",
}


def main() -> None:
    """Run the command that the arguments name."""
    parser = Parser(
        prog="python -m workflow",
        description="Look at what the pipeline made. The pipeline itself is run by snakemake.",
        epilog="commands:\n"
        + "".join(f"  {name:9} {summary}\n" for name, summary in COMMANDS.items())
        + "\n`python -m workflow COMMAND --help` explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=VERSION, help="show the version")
    parser.add_argument("command", metavar="COMMAND", help="one of the commands below")
    parser.add_argument(
        "arguments", metavar="...", nargs=REMAINDER, help="what the command expects"
    )
    chosen = parser.parse_args(sys.argv[1:] or ["--help"])
    if chosen.command not in COMMANDS:
        near = suggest(chosen.command, COMMANDS)
        parser.exit(2, f"error: unknown command {chosen.command!r}{near}\n")
    prepare_environment()
    command = import_module(f"workflow.lib.cli.{chosen.command}")
    command.main(chosen.arguments)


if __name__ == "__main__":
    run_program(main)
